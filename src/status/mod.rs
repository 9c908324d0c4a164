//! The current state: what is served, what is pending, and what a revocation waits for.

pub mod cache;
pub mod canary;
pub mod exposition;
pub mod latency;
pub mod lines;
pub mod linking;
pub mod metrics;
mod problems;
pub mod serving;
mod spread;
pub mod totals;
pub mod waits;
mod whole;
pub mod workers;

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Client;

use crate::{
    connection::Error,
    schema::{self, Pause},
};
pub use cache::Cached;
pub use canary::Canary;
use latency::LastHour;
pub use linking::Linking;
use serving::Daemon;
use totals::Totals;
use waits::Wait;
pub use whole::read_whole;
use workers::FailingWorker;

/// That hides nothing else.
const TOO_MANY: &str = "what all revocations came to: there are so many that adding them up takes too long; a lower purge.retention_d helps";

/// Everything that `status` shows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Version of the installed schema.
    pub schema_version: Option<i32>,
    /// Since when and by whom the work is paused, because the site migrates.
    pub paused: Option<Pause>,
    /// What is not in place, each with the command that mends it, and what keeps failing. Not looked at during a pause.
    pub problems: Vec<String>,
    /// What could not be looked at, and why: another session holds a lock, for instance.
    pub unknown: Vec<String>,
    /// Whether a daemon listens; without one the changing transaction ends what it can (P4).
    pub served: bool,
    /// The daemons that serve it, as far as they have reported themselves.
    pub daemons: Vec<Daemon>,
    /// Sessions that are linked to a user.
    pub linked_sessions: i64,
    /// Sessions that have not been read for their users yet.
    pub linking: Linking,
    /// Revocations that no revoker has looked at yet.
    pub requested: i64,
    /// Revocations that have been swept and wait to be settled.
    pub revoked: i64,
    /// Age of the oldest revocation that is not settled, in seconds.
    pub oldest_open_s: Option<f64>,
    /// When it was asked for, in seconds since 1970.
    pub oldest_open_at_s: Option<f64>,
    /// Revocations that failed and are tried again.
    pub failing: i64,
    /// Those that no further try will mend, or that have been tried often, by SQLSTATE.
    pub failing_by_sqlstate: BTreeMap<String, i64>,
    /// What the app did that could not be noted (`write`, `eviction`), with the SQLSTATE.
    pub missed: BTreeMap<String, String>,
    /// What daemons keep failing at.
    pub failing_workers: Vec<FailingWorker>,
    /// Revocations that settled without the transactions that they had waited for.
    pub waited_out: i64,
    /// Transactions that keep revocations from settling.
    pub waits_for: Vec<Wait>,
    /// What the cache beside the session table still has to forget.
    pub cache: Cached,
    /// What came of the canary's runs.
    pub canary: Canary,
    /// The last purge.
    pub last_purge: Option<LastPurge>,
    /// When the next one is due, in seconds since 1970; none where the settings schedule none, or were not asked.
    pub next_purge_at_s: Option<i64>,
    /// How fast the revocations of the last hour were.
    pub last_hour: LastHour,
    /// What all of them came to; none where there are so many that adding them up took too long.
    pub totals: Option<Totals>,
}

/// The last scheduled purge.
#[derive(Debug, Serialize)]
pub struct LastPurge {
    /// How long ago it ended, in seconds.
    pub ago_s: f64,
    /// When it ended, in seconds since 1970.
    pub finished_at_s: f64,
    /// Expired sessions that it deleted.
    pub sessions: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// Whether a daemon serves the database: asked alone, because this can be read where nothing else can.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn is_served(client: &Client) -> Result<bool, Error> {
    let served = "-- status::is_served
        select session_reaper.is_served()";
    Ok(client.query_one(served, &[]).await?.get(0))
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
                   (select count(*) from session_reaper.revocation w where w.waited_out),
                   extract(epoch from min(c.begun_at))::double precision
            from session_reaper.revocation r
            join session_reaper.change c on c.id = r.change_id
            where r.state <> 'settled'",
            &[],
        )
        .await?;
    let linking = linking::read(client).await?;
    let totals = match totals::read(client).await {
        Err(error) if error.is_out_of_time() => None,
        totals => Some(totals?),
    };
    Ok(Status {
        schema_version,
        paused: schema::current_pause(client).await?,
        problems: linking.problem().into_iter().collect(),
        unknown: match totals {
            Some(_) => Vec::new(),
            None => vec![TOO_MANY.to_owned()],
        },
        served: row.get(0),
        daemons: serving::read(client).await?,
        linked_sessions: row.get(1),
        linking,
        requested: row.get(2),
        revoked: row.get(3),
        oldest_open_s: row.get(4),
        oldest_open_at_s: row.get(7),
        failing: row.get(5),
        failing_by_sqlstate: problems::failing(client).await?,
        missed: problems::missed(client).await?,
        failing_workers: workers::read(client).await?,
        waited_out: row.get(6),
        waits_for: waits::read(client).await?,
        cache: cache::read(client).await?,
        canary: canary::read(client).await?,
        last_purge: last_purge(client).await?,
        next_purge_at_s: None,
        last_hour: latency::last_hour(client).await?,
        totals,
    })
}

async fn last_purge(client: &Client) -> Result<Option<LastPurge>, Error> {
    let row = client
        .query_opt(
            "-- status::last_purge
            select extract(epoch from clock_timestamp() - p.finished_at)::double precision, p.sessions, p.duration_ms,
                extract(epoch from p.finished_at)::double precision
            from session_reaper.purge p
            where p.finished_at is not null",
            &[],
        )
        .await?;
    Ok(row.map(|row| LastPurge {
        ago_s: row.get(0),
        finished_at_s: row.get(3),
        sessions: row.get(1),
        duration_ms: row.get(2),
    }))
}
