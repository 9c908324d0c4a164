//! Deletes sessions that have expired, and revocations that have been settled for longer than they are kept.
//!
//! Rung by the schedule. Short transactions of a batch each, that pass over locked rows and rest in between,
//! so that the app's own queries do not notice (P6); whoever saves a session while it expires wins. A row that
//! each batch locks keeps replicas from purging side by side; it cannot outlive its transaction.

mod batch;

use std::time::{Duration, Instant};

use crate::{
    connection::{Error, Pool, answered},
    revocation::prune,
    schema::Site,
    settings,
    shutdown::Stop,
};
use batch::Batch;

/// Purges; see the module.
#[derive(Clone)]
pub struct Purger {
    pool: Pool,
    sessions: String,
    is_expired: String,
    expires_type: String,
}

/// What a purge did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Expired sessions that were deleted.
    pub sessions: u64,
    /// Expired sessions that could not be deleted, because something of the site's refers to them. Those that somebody
    /// uses are not among them: the next pass finds them again.
    pub refused: u64,
    /// Settled revocations that were deleted.
    pub revocations: u64,
    /// Batches that it took.
    pub batches: u64,
    /// How long it took, with the pauses.
    pub duration: Duration,
    /// Whether another daemon was at it, so that this one left off.
    pub taken: bool,
}

impl Purger {
    /// A purger of this site's sessions.
    pub fn new(pool: Pool, site: &Site) -> Self {
        Self {
            pool,
            sessions: site.sessions.quoted(),
            is_expired: site.is_expired(),
            expires_type: site.expires_type(),
        }
    }

    /// One pass over everything that has expired; `progress` hears how many sessions are gone so far.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement; what was deleted stays deleted.
    pub async fn purge(
        &self,
        settings: &settings::Purge,
        stop: &Stop,
        mut progress: impl FnMut(u64),
    ) -> Result<Report, Error> {
        let begun = Instant::now();
        let mut report = Report::default();
        let mut place = None;
        while !stop.is_stopped() {
            let batch_begun = Instant::now();
            let batch = self.delete_batch(settings.batch_rows, place.as_ref());
            match answered(&self.pool, batch).await? {
                Batch::Taken => {
                    report.taken = true;
                    break;
                }
                Batch::Nothing => break,
                Batch::Looked {
                    deleted,
                    refused,
                    next,
                } => {
                    report.sessions += deleted;
                    report.refused += refused;
                    report.batches += 1;
                    // Every batch gets further, whatever it leaves behind, so that a pass comes to its end.
                    place = Some(next);
                }
            }
            progress(report.sessions);
            let rest = batch_begun.elapsed().mul_f64(settings.pause_ratio);
            stop.run_until_stopped(tokio::time::sleep(rest)).await;
        }
        if report.refused > 0 {
            tracing::warn!(
                sessions = report.refused,
                "expired sessions could not be deleted, because a foreign key or a trigger of the site's objects"
            );
        }
        report.revocations = answered(&self.pool, prune(&self.pool, settings.retention_d)).await?;
        report.duration = begun.elapsed();
        Ok(report)
    }

    /// How many sessions a purge would delete now.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn count_expired(&self) -> Result<i64, Error> {
        let statement = format!(
            "-- purger::count_expired
            select count(*) from {} s where {}",
            self.sessions, self.is_expired
        );
        Ok(self
            .pool
            .get()
            .await?
            .query_one(&statement, &[])
            .await?
            .get(0))
    }

    /// Takes a scheduled time for this daemon, so that of several one purges, and a time that passed while
    /// none was running is made up for once. The schedule's time comes from the daemon's clock.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn claim(&self, tick_epoch_s: i64) -> Result<bool, Error> {
        let claimed = self
            .pool
            .get()
            .await?
            .execute(
                "-- purger::claim
                update session_reaper.purge p
                set tick = to_timestamp($1::bigint)
                where p.tick < to_timestamp($1::bigint) and not exists (select from session_reaper.pause)",
                &[&tick_epoch_s],
            )
            .await?;
        Ok(claimed == 1)
    }

    /// Leaves the result where `status` finds it.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn remember(&self, report: &Report) -> Result<(), Error> {
        let sessions = i64::try_from(report.sessions).unwrap_or(i64::MAX);
        let duration_ms = i64::try_from(report.duration.as_millis()).unwrap_or(i64::MAX);
        self.pool
            .get()
            .await?
            .execute(
                "-- purger::remember
                update session_reaper.purge p
                set finished_at = clock_timestamp(), sessions = $1, duration_ms = $2",
                &[&sessions, &duration_ms],
            )
            .await?;
        Ok(())
    }
}
