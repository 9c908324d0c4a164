//! Deletes sessions that have expired, and revocations that have been settled for longer than they are kept.
//!
//! Rung by the schedule. It works in short transactions of a batch each, which pass over locked rows, with rests in
//! between, so that the app's own queries do not notice (P6). A request that saves a session while it expires wins.
//! Each batch locks a row, which keeps replicas from purging side by side; that lock cannot outlive its transaction.

use std::time::{Duration, Instant};

use super::batch::{self, Batch, Place};
use crate::{
    connection::{Database, Error},
    process::shutdown::Stop,
    schema::Site,
    settings,
    worker::{passing::Passing, size::Size},
};

/// At most so many sessions in a row are passed by because each alone takes longer than a statement may.
const MOST_STUCK: u32 = 10;

/// Purges; see the module.
#[derive(Clone)]
pub struct Purger {
    pub(super) database: Database,
    sessions: String,
    is_expired: String,
    expires_type: String,
    /// How many sessions at once, and how many revocations.
    size: Size,
    pub(super) prune_size: Size,
}

/// What a purge did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Expired sessions that were deleted.
    pub sessions: u64,
    /// Expired sessions that could not be deleted, because something of the site's refers to them. Those that are in
    /// use are not among them: the next pass finds them again.
    pub refused: u64,
    /// Settled revocations that were deleted.
    pub revocations: u64,
    /// Batches that it took.
    pub batches: u64,
    /// How long it took, with the pauses.
    pub duration: Duration,
    /// Whether another daemon was purging, so that this one stopped.
    pub taken: bool,
}

impl Purger {
    /// A purger of this site's sessions.
    pub fn new(database: Database, site: &Site) -> Self {
        Self {
            database,
            sessions: site.sessions.quoted(),
            is_expired: site.is_expired(),
            expires_type: site.expires_type(),
            size: Size::default(),
            prune_size: Size::default(),
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
        let (mut place, mut stuck) = (Place::default(), 0);
        let mut passing = Passing::new(stop);
        while !stop.is_stopped() {
            let batch_begun = Instant::now();
            let most = self.size.of(settings.batch_rows);
            let batch = batch::delete(&self.database, &self.expires_type, most, &place).await;
            let Some(batch) = passing.retry(self.size.note(batch)).await else {
                continue;
            };
            match batch {
                Err(error) if error.is_out_of_time() && most > 1 => {}
                // A session that takes so long by itself is passed by. If all of them do, the cause is not the session.
                Err(error) if error.is_out_of_time() && stuck < MOST_STUCK => {
                    stuck += 1;
                    report.refused += 1;
                    place = place.behind_one();
                }
                Err(error) => return Err(error),
                Ok(Batch::Taken) => {
                    report.taken = true;
                    break;
                }
                Ok(Batch::Nothing) => break,
                Ok(Batch::Looked {
                    deleted,
                    refused,
                    next,
                }) => {
                    stuck = 0;
                    report.sessions += deleted;
                    report.refused += refused;
                    report.batches += 1;
                    // Every batch gets further, whatever it leaves behind, so that a pass comes to its end.
                    place = next;
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
        report.revocations = self.prune(settings, stop).await?;
        report.duration = begun.elapsed();
        Ok(report)
    }

    /// How many sessions a purge would delete now.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn count_expired(&self) -> Result<i64, Error> {
        let statement = format!(
            "-- purge::purger::count_expired
            select count(*) from {} s where {}",
            self.sessions, self.is_expired
        );
        Ok(self.database.query_one(&statement, &[]).await?.get(0))
    }

    /// Takes a scheduled time for this daemon, so that only one of several purges, and a time that passed while none
    /// was running is made up for once. The schedule's time comes from the daemon's clock, which may be wrong: a time
    /// that the server's own clock has not reached is neither kept nor believed, or no daemon would purge until then. A
    /// minute is allowed for clocks that differ a little.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn claim(&self, tick_epoch_s: i64) -> Result<bool, Error> {
        let claimed = self
            .database
            .execute(
                "-- purge::purger::claim
                update session_reaper.purge p
                set tick = case when t.tick > t.latest then clock_timestamp() else t.tick end
                from (select to_timestamp($1::bigint) as tick, clock_timestamp() + interval '1 minute' as latest) t
                where (p.tick < t.tick or p.tick > t.latest) and not exists (select from session_reaper.pause)",
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
        self.database
            .execute(
                "-- purge::purger::remember
                update session_reaper.purge p
                set finished_at = clock_timestamp(), sessions = $1, duration_ms = $2, sessions_in_all = p.sessions_in_all + $1",
                &[&sessions, &duration_ms],
            )
            .await?;
        Ok(())
    }
}
