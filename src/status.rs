//! How it stands: what is served, what is pending, and what a revocation waits for.

pub mod cached;
mod exposition;
pub mod metrics;
pub mod unread;

use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::{
    connection::Error,
    schema::{self, Pause},
};
pub use cached::Cached;
pub use unread::Unread;

/// Everything that `status` shows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Version of the installed schema.
    pub schema_version: Option<i32>,
    /// Since when and by whom the work is paused, because the site migrates.
    pub paused: Option<Pause>,
    /// What is not in place, each with the command that mends it. Not looked at during a pause.
    pub problems: Vec<String>,
    /// Whether a daemon listens; without one the changing transaction ends what it can (P4).
    pub served: bool,
    /// Sessions that are linked to a user.
    pub linked_sessions: i64,
    /// What has not been read for its users yet.
    pub unread: Unread,
    /// Revocations that nobody has looked at yet.
    pub requested: i64,
    /// Revocations that have been swept and wait to be settled.
    pub revoked: i64,
    /// Age of the oldest revocation that is not settled, in seconds.
    pub oldest_open_s: Option<f64>,
    /// Revocations that failed and are tried again.
    pub failing: i64,
    /// Revocations that settled without the transactions that they had waited for.
    pub waited_out: i64,
    /// Transactions that keep revocations from settling.
    pub waits_for: Vec<Wait>,
    /// What the cache beside the session table still has to forget.
    pub cache: Cached,
    /// The last scheduled purge.
    pub last_purge: Option<LastPurge>,
}

/// A transaction that was open at a change and still is.
#[derive(Debug, Serialize)]
pub struct Wait {
    /// `open` or `prepared`.
    pub kind: String,
    /// Process id of its backend; none for a prepared transaction.
    pub pid: Option<i32>,
    /// Whose it is.
    pub role: Option<String>,
    /// What the client calls itself.
    pub application: Option<String>,
    /// How long revocations have waited for it, in seconds.
    pub waited_s: f64,
    /// How many wait.
    pub revocations: i64,
}

impl Wait {
    /// Which transaction, and whose.
    pub fn describe(&self) -> String {
        let pid = self
            .pid
            .map_or_else(String::new, |pid| format!(" of process {pid}"));
        let role = self.role.as_deref().unwrap_or("an unknown role");
        let application = self
            .application
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or("unnamed");
        format!("the {} transaction{pid} ({role}, {application})", self.kind)
    }
}

/// The last scheduled purge.
#[derive(Debug, Serialize)]
pub struct LastPurge {
    /// How long ago it ended, in seconds.
    pub ago_s: f64,
    /// Expired sessions that it deleted.
    pub sessions: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// Reads the status.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn read(client: &Client, schema_version: Option<i32>) -> Result<Status, Error> {
    let row = client
        .query_one(
            "-- status::read
            select session_reaper.is_served(),
                   (select count(*) from session_reaper.user_session),
                   count(*) filter (where r.state = 'requested'),
                   count(*) filter (where r.state = 'revoked'),
                   extract(epoch from clock_timestamp() - min(c.begun_at))::double precision,
                   count(*) filter (where r.last_error is not null),
                   (select count(*) from session_reaper.revocation w where w.waited_out)
            from session_reaper.revocation r
            join session_reaper.change c on c.id = r.change_id
            where r.state <> 'settled'",
            &[],
        )
        .await?;
    Ok(Status {
        schema_version,
        paused: schema::current_pause(client).await?,
        problems: Vec::new(),
        served: row.get(0),
        linked_sessions: row.get(1),
        unread: unread::read(client).await?,
        requested: row.get(2),
        revoked: row.get(3),
        oldest_open_s: row.get(4),
        failing: row.get(5),
        waited_out: row.get(6),
        waits_for: waits(client).await?,
        cache: cached::read(client).await?,
        last_purge: last_purge(client).await?,
    })
}

async fn waits(client: &Client) -> Result<Vec<Wait>, Error> {
    let rows = client
        .query(
            "-- status::waits
            with waiting as (
                select h.id, h.captured_at, h.virtual_transactions, h.prepared_transactions, count(*) as revocations
                from session_reaper.horizon h
                join session_reaper.revocation r on r.horizon_id = h.id and r.state = 'revoked'
                where h.passed_at is null and h.server_started_at = pg_postmaster_start_time()
                group by h.id
            )
            select 'open', l.pid, max(a.usename)::text, max(a.application_name),
                   max(extract(epoch from clock_timestamp() - w.captured_at))::double precision,
                   sum(w.revocations)::bigint
            from waiting w
            join pg_catalog.pg_locks l
                on l.locktype = 'virtualxid' and l.granted and l.virtualxid = any (w.virtual_transactions)
            left join pg_catalog.pg_stat_activity a on a.pid = l.pid
            group by l.pid
            union all
            select 'prepared', null, max(p.owner)::text, max(p.gid),
                   max(extract(epoch from clock_timestamp() - w.captured_at))::double precision,
                   sum(w.revocations)::bigint
            from waiting w
            join pg_catalog.pg_prepared_xacts p on p.transaction::text = any (w.prepared_transactions)
            group by p.transaction
            order by 5 desc",
            &[],
        )
        .await?;
    let wait = |row: &Row| Wait {
        kind: row.get(0),
        pid: row.get(1),
        role: row.get(2),
        application: row.get(3),
        waited_s: row.get(4),
        revocations: row.get(5),
    };
    Ok(rows.iter().map(wait).collect())
}

async fn last_purge(client: &Client) -> Result<Option<LastPurge>, Error> {
    let row = client
        .query_opt(
            "-- status::last_purge
            select extract(epoch from clock_timestamp() - p.finished_at)::double precision, p.sessions, p.duration_ms
            from session_reaper.purge p
            where p.finished_at is not null",
            &[],
        )
        .await?;
    Ok(row.map(|row| LastPurge {
        ago_s: row.get(0),
        sessions: row.get(1),
        duration_ms: row.get(2),
    }))
}
