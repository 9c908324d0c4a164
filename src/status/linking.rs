//! What has not been linked yet: what a revocation could still miss if it settled now.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Client;

use crate::{connection::Error, wording::count_of};

/// Beyond this number, rows of the queue are not counted one by one.
const MOST_COUNTED: i64 = 100_000;

/// This many sessions in which no user was found lately, and none in which one was, are no accident of the site.
const MANY_UNREADABLE: i64 = 20;

/// One session that was linked lately outweighs this many writes in which no user was found: a session counts at each
/// write.
const WRITES_A_SESSION: i64 = 100;

/// Sessions that are still to be linked.
#[derive(Debug, Serialize)]
pub struct Linking {
    /// Every session of the table has been looked at since that was last asked for.
    pub backfilled: bool,
    /// Why it was asked for: `installed`, `asked for`, `arrived`, `truncated`, `overflow` or `missed`.
    pub reason: Option<String>,
    /// Sessions of the table that have been read so far.
    pub sessions_backfilled: i64,
    /// How many there are, as far as PostgreSQL's statistics know.
    pub sessions_estimated: Option<i64>,
    /// Writes of sessions that wait in the queue, up to 100,000.
    pub pending: i64,
    /// The queue has grown past `site.queue_mb` and takes nothing more.
    pub queue_full: bool,
    /// Writes of session data in which no user could be found, by what was wrong with it.
    pub unreadable: BTreeMap<String, i64>,
    /// None or hardly any of the sessions that have been read is linked, though many had data that should contain a user.
    pub links_nobody: bool,
    /// Whether any session is linked.
    #[serde(skip)]
    links_some: bool,
}

/// Reads how far linking is.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn read(client: &Client) -> Result<Linking, Error> {
    let row = client
        .query_one(
            "-- status::linking::read
            select t.complete, t.reason,
                   t.sessions + (select coalesce(sum(p.sessions), 0)::bigint from session_reaper.page p),
                   (select nullif(s.reltuples, -1)::bigint
                    from pg_catalog.pg_constraint c
                    join pg_catalog.pg_class s on s.oid = c.confrelid
                    where c.conname = 'user_session_of_session'
                      and c.conrelid = 'session_reaper.user_session'::regclass),
                   (select count(*) from (select from session_reaper.pending_link limit $1) u),
                   session_reaper.is_queue_full(),
                   t.complete and u.writes >= $2 and u.writes >= $2
                       -- An older one speaks for itself alone: another version of the site may have written it.
                       + (select count(*) from (select from session_reaper.user_session limit $1) l)
                       + $3 * (select count(*) from (
                            select from session_reaper.user_session l
                            where l.linked_at > now() - interval '1 day'
                            limit $1) l),
                   exists (select from session_reaper.user_session)
            from session_reaper.backfill t
            cross join (
                select coalesce(sum(r.writes), 0)::bigint as writes
                from session_reaper.unreadable r
                where r.first_seen_at > now() - interval '2 days' and r.last_seen_at > now() - interval '1 day') u",
            &[&MOST_COUNTED, &MANY_UNREADABLE, &WRITES_A_SESSION],
        )
        .await?;
    let unreadable = client
        .query(
            "-- status::linking::read
            select u.reason, sum(u.writes)::bigint from session_reaper.unreadable u group by u.reason",
            &[],
        )
        .await?;
    Ok(Linking {
        backfilled: row.get(0),
        reason: row.get(1),
        sessions_backfilled: row.get(2),
        sessions_estimated: row.get(3),
        pending: row.get(4),
        queue_full: row.get(5),
        unreadable: unreadable
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect(),
        links_nobody: row.get(6),
        links_some: row.get(7),
    })
}

impl Linking {
    /// What keeps every session from ending: where no session is linked, a revocation settles and has ended nothing.
    pub fn problem(&self) -> Option<String> {
        let (who, ends) = if self.links_some {
            ("hardly any", "hardly anything")
        } else {
            ("no", "nothing")
        };
        self.links_nobody.then(|| {
            format!(
                "{who} session is linked to a user, and {} of sessions had data in which none could be found ({}), so a revocation ends {ends}: check the preset, the codec and the user's key in [site] against what the app writes",
                count_of(self.unreadable.values().sum(), "write"),
                self.reasons()
            )
        })
    }

    fn reasons(&self) -> String {
        let reason = |(reason, writes): (&String, &i64)| format!("{reason} {writes}");
        let reasons: Vec<String> = self.unreadable.iter().map(reason).collect();
        reasons.join(", ")
    }

    /// For people: what each line is about, and its text. Nothing where all is well.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if !self.backfilled {
            let of = self
                .sessions_estimated
                .map_or_else(String::new, |of| format!(" of about {of}"));
            lines.push((
                "backfill",
                format!(
                    "all sessions ({}): {}{of} so far; until it is through, a revocation may miss some and does not settle",
                    self.reason.as_deref().unwrap_or("asked for"),
                    self.sessions_backfilled
                ),
            ));
        }
        if self.queue_full {
            lines.push((
                "queue full",
                "no daemon has read what was written, and no more is noted: start `session-reaper run`, which reads all sessions again".to_owned(),
            ));
        }
        if self.pending > 0 {
            let more = if self.pending < MOST_COUNTED {
                ""
            } else {
                "at least "
            };
            lines.push((
                "to link",
                format!(
                    "{more}{}; only a daemon, or `session-reaper link`, can read them",
                    count_of(self.pending, "write")
                ),
            ));
        }
        if !self.unreadable.is_empty() {
            lines.push((
                "unreadable",
                format!(
                    "session data in which no user was found, by writes: {}",
                    self.reasons()
                ),
            ));
        }
        lines
    }
}
