//! What the cache beside the session table still has to forget, and how it answers.

use serde::Serialize;
use tokio_postgres::Client;

use crate::{connection::Error, wording::count_of};

/// The state of the cache. All zero where there is none.
#[derive(Debug, Serialize)]
pub struct Cached {
    /// Deleted sessions that the cache has not confirmed even once as forgotten: it may still answer for them.
    pub pending: i64,
    /// Deleted sessions that are evicted once more after the grace.
    pub in_grace: i64,
    /// Sessions that it has forgotten for good.
    pub evicted: i64,
    /// For how long it has failed, in seconds; none if it does not.
    pub failing_s: Option<f64>,
    /// How often it has failed in a row.
    pub attempts: i64,
    /// How often it has failed in all.
    pub failures: i64,
    /// Since when it has failed, in seconds since 1970; none if it does not.
    pub failing_since_s: Option<f64>,
    /// When it confirmed last, in seconds since 1970.
    pub confirmed_at_s: Option<f64>,
    /// What it failed with.
    pub last_error: Option<String>,
    /// Revocations that do not settle before it has confirmed.
    pub revocations: i64,
}

/// Reads the state of the cache.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn read(client: &Client) -> Result<Cached, Error> {
    let row = client
        .query_one(
            "-- status::cache::read
            select (select count(*) from session_reaper.pending_eviction e where e.evicted_at is null),
                   (select count(*) from session_reaper.pending_eviction e where e.evicted_at is not null),
                   v.sessions,
                   extract(epoch from clock_timestamp() - v.failing_since)::double precision,
                   v.attempts,
                   v.last_error,
                   (select count(*) from session_reaper.awaiting_eviction(null)),
                   v.failures,
                   extract(epoch from v.failing_since)::double precision,
                   extract(epoch from v.confirmed_at)::double precision
            from session_reaper.eviction v",
            &[],
        )
        .await?;
    Ok(Cached {
        pending: row.get(0),
        in_grace: row.get(1),
        evicted: row.get(2),
        failing_s: row.get(3),
        attempts: row.get(4),
        last_error: row.get(5),
        revocations: row.get(6),
        failures: row.get(7),
        failing_since_s: row.get(8),
        confirmed_at_s: row.get(9),
    })
}

impl Cached {
    /// That the cache does not confirm, which keeps revocations from settling.
    pub fn problem(&self) -> Option<String> {
        let failing_s = self.failing_s?;
        let error = self.last_error.as_deref().unwrap_or("no reason is known");
        Some(format!(
            "the cache has not confirmed for {failing_s:.0} s, and may still answer for ended sessions: {error}"
        ))
    }

    /// For people. Nothing where nothing waits.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if self.pending + self.in_grace > 0 {
            lines.push((
                "cache",
                format!(
                    "{} to evict, {} once more after the grace; {} for that",
                    count_of(self.pending, "session"),
                    self.in_grace,
                    count_of(self.revocations, "revocation")
                        + if self.revocations == 1 {
                            " waits"
                        } else {
                            " wait"
                        },
                ),
            ));
        }
        if let Some(failing_s) = self.failing_s {
            lines.push((
                "cache down",
                format!(
                    "for {failing_s:.0} s, {}: {}",
                    count_of(self.attempts, "attempt"),
                    self.last_error.as_deref().unwrap_or("no reason is known")
                ),
            ));
        }
        lines
    }
}
