//! What has been asked for, what came of it, and what an open revocation waits for: read for people, never changed
//! here.

pub mod explained;
mod words;

use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::connection::Error;

/// Times as ISO 8601 has them, in UTC.
const TIME: &str = "YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"";

/// One revocation.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its number.
    pub revocation: i64,
    /// `user`, `session`, or `all` for everybody.
    pub scope: String,
    /// Whose sessions; none for everybody, and for a session that was linked to nobody.
    pub user: Option<String>,
    /// `password`, `deactivated`, `deleted`, `requested`, or what the caller gave.
    pub reason: String,
    /// `requested`, `revoked` or `settled`.
    pub state: String,
    /// When the change was about to be committed, in UTC, as ISO 8601 has it.
    pub asked_at: String,
    /// The database role that made the change.
    pub asked_by: String,
    /// What its connection called itself.
    pub application: String,
    /// Sessions that have been deleted for it.
    pub sessions_ended: i64,
    /// Seconds from the change until its sessions had first been looked for and deleted.
    pub revoked_after_s: Option<f64>,
    /// Seconds from the change until no older session could appear any more.
    pub settled_after_s: Option<f64>,
    /// Whether it settled without a transaction that stayed open for too long.
    pub waited_out: bool,
    /// What an open one waits for. Empty for a settled one.
    pub waits_for: Vec<Cause>,
}

/// Why a revocation is open.
#[derive(Debug, Serialize)]
pub struct Cause {
    /// `paused`, `failing`, `unserved`, `requested`, `transaction`, `pending_link`, `cache`, `grace` or `last_look`.
    pub cause: String,
    /// Which transaction, or which SQLSTATE.
    pub detail: Option<String>,
}

/// Which revocations to read.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Those that concern this user: the user's own, and everybody's.
    pub user: Option<&'a str>,
    /// Those of at most this age, in seconds.
    pub since_s: Option<f64>,
    /// Those that have not settled.
    pub only_open: bool,
    /// At most this many, the newest.
    pub most: i64,
    /// How long a revocation waits for requests in flight, in seconds: `revoke.write_back_grace_s`.
    pub grace_s: f64,
}

/// Reads them, the newest first.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn read(client: &Client, wanted: &Wanted<'_>) -> Result<Vec<Entry>, Error> {
    let rows = client
        .query(
            "-- history::read
            select r.id, r.scope, r.user_id::text, r.reason, r.state,
                to_char(a.at at time zone 'utc', $4), c.requested_by::text, c.application_name,
                r.sessions_ended,
                extract(epoch from r.revoked_at - a.at)::double precision,
                extract(epoch from r.settled_at - a.at)::double precision,
                r.waited_out
            from session_reaper.revocation_trail r
            join session_reaper.change_trail c on c.id = r.change_id
            cross join lateral (select coalesce(c.at, r.revoked_at, r.settled_at)) a (at)
            where ($1::text is null or r.scope = 'all' or r.user_id = session_reaper.find_user($1) or r.user_id::text = $1)
              and ($2::double precision is null or coalesce(a.at > clock_timestamp() - $2 * interval '1 second', true))
              and not ($5 and r.state = 'settled')
            order by r.id desc
            limit $3",
            &[
                &wanted.user,
                &wanted.since_s,
                &wanted.most,
                &TIME,
                &wanted.only_open,
            ],
        )
        .await?;
    let mut entries: Vec<Entry> = rows.iter().map(entry).collect();
    for open in entries.iter_mut().filter(|entry| entry.state != "settled") {
        open.waits_for = causes(client, open.revocation, wanted.grace_s).await?;
    }
    Ok(entries)
}

fn entry(row: &Row) -> Entry {
    Entry {
        revocation: row.get(0),
        scope: row.get(1),
        user: row.get(2),
        reason: row.get(3),
        state: row.get(4),
        asked_at: row.get::<_, Option<String>>(5).unwrap_or_default(),
        asked_by: row.get(6),
        application: row.get(7),
        sessions_ended: row.get(8),
        revoked_after_s: row.get(9),
        settled_after_s: row.get(10),
        waited_out: row.get(11),
        waits_for: Vec::new(),
    }
}

async fn causes(client: &Client, revocation: i64, grace_s: f64) -> Result<Vec<Cause>, Error> {
    let rows = client
        .query(
            "-- history::causes
            select w.cause, w.detail from session_reaper.why_open($1, $2) w order by w.detail",
            &[&revocation, &grace_s],
        )
        .await?;
    let cause = |row: &Row| Cause {
        cause: row.get(0),
        detail: row.get(1),
    };
    Ok(rows.iter().map(cause).collect())
}
