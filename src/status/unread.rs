//! What has not been read for its users yet: what a revocation could still miss, were it settled now.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Client;

use crate::{connection::Error, wording::count_of};

/// More than so many rows of the queue are not counted one by one.
const MOST_COUNTED: i64 = 100_000;

/// Sessions that are still to be read.
#[derive(Debug, Serialize)]
pub struct Unread {
    /// Every session of the table has been read since that was last asked for.
    pub table_read: bool,
    /// Why it was asked for: `installed`, `resumed` or `overflow`.
    pub reason: Option<String>,
    /// Sessions of the table that have been read so far.
    pub sessions_read: i64,
    /// How many there are, as far as PostgreSQL's statistics know.
    pub sessions_estimated: Option<i64>,
    /// Writes of sessions that wait in the queue, up to 100,000.
    pub queued: i64,
    /// The queue has grown past `site.queue_mb` and takes nothing more.
    pub queue_full: bool,
    /// Writes of session data in which no user could be found, by what was wrong with it.
    pub unreadable: BTreeMap<String, i64>,
}

/// Reads how far it is.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn read(client: &Client) -> Result<Unread, Error> {
    let row = client
        .query_one(
            "-- status::unread::read
            select t.complete, t.reason,
                   t.sessions + (select coalesce(sum(p.sessions), 0)::bigint from session_reaper.page p),
                   (select nullif(s.reltuples, -1)::bigint
                    from pg_catalog.pg_constraint c
                    join pg_catalog.pg_class s on s.oid = c.confrelid
                    where c.conname = 'user_session_of_session'
                      and c.conrelid = 'session_reaper.user_session'::regclass),
                   (select count(*) from (select from session_reaper.unread limit $1) u),
                   session_reaper.is_queue_full()
            from session_reaper.table_reading t",
            &[&MOST_COUNTED],
        )
        .await?;
    let unreadable = client
        .query(
            "-- status::unread::unreadable
            select u.reason, u.writes from session_reaper.unreadable u",
            &[],
        )
        .await?;
    Ok(Unread {
        table_read: row.get(0),
        reason: row.get(1),
        sessions_read: row.get(2),
        sessions_estimated: row.get(3),
        queued: row.get(4),
        queue_full: row.get(5),
        unreadable: unreadable
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect(),
    })
}

impl Unread {
    /// For people: what each line is about, and what it says. Nothing where all is well.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if !self.table_read {
            let of = self
                .sessions_estimated
                .map_or_else(String::new, |of| format!(" of about {of}"));
            lines.push((
                "reading",
                format!(
                    "all sessions ({}): {}{of} so far; until it is through, a revocation may miss some and does not settle",
                    self.reason.as_deref().unwrap_or("asked for"),
                    self.sessions_read
                ),
            ));
        }
        if self.queue_full {
            lines.push((
                "queue full",
                "no daemon has read what was written, and no more is noted: start `session-reaper run`, which reads all sessions again".to_owned(),
            ));
        }
        if self.queued > 0 {
            let more = if self.queued < MOST_COUNTED {
                ""
            } else {
                "at least "
            };
            lines.push((
                "unread",
                format!(
                    "{more}{}; only a daemon, or `session-reaper link`, can read them",
                    count_of(self.queued, "write")
                ),
            ));
        }
        if !self.unreadable.is_empty() {
            let reasons: Vec<String> = self
                .unreadable
                .iter()
                .map(|(reason, writes)| format!("{reason} {writes}"))
                .collect();
            lines.push((
                "unreadable",
                format!(
                    "session data without a user to be found, by writes: {}",
                    reasons.join(", ")
                ),
            ));
        }
        lines
    }
}
