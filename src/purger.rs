//! Deletes sessions that have expired, and revocations that have been settled for longer than they are kept.
//!
//! Rung by the schedule. Short transactions of a batch each, that pass over locked rows and rest in between,
//! so that the app's own queries do not notice (P6); whoever saves a session while it expires wins. One
//! advisory lock a batch keeps replicas from purging side by side; it cannot outlive its transaction.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use crate::{
    connection::{Error, Pool, answered},
    revocation::prune,
    schema::{LOCK_CLASS, PURGING_LOCK, Site, quote_identifier},
    settings,
    shutdown::Stop,
};

/// Purges; see the module.
#[derive(Clone)]
pub struct Purger {
    pool: Pool,
    key: String,
    expires: String,
    sessions: String,
}

/// What a purge did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Expired sessions that were deleted.
    pub sessions: u64,
    /// Settled revocations that were deleted.
    pub revocations: u64,
    /// Batches that it took.
    pub batches: u64,
    /// How long it took, with the pauses.
    pub duration: Duration,
    /// Whether another daemon was at it, so that this one left off.
    pub taken: bool,
}

/// One batch of the sessions.
enum Batch {
    /// So many deleted, and where the next batch begins.
    Deleted {
        rows: u64,
        low_water: Option<String>,
    },
    /// Another daemon purges.
    Taken,
}

impl Purger {
    /// A purger of this site's sessions.
    pub fn new(pool: Pool, site: &Site) -> Self {
        Self {
            pool,
            key: quote_identifier(&site.session_key.name),
            expires: quote_identifier(&site.expires.name),
            sessions: site.sessions.quoted(),
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
        let mut low_water: Option<String> = None;
        while !stop.is_stopped() {
            let batch_begun = Instant::now();
            let batch = self.delete_batch(settings.batch_rows, low_water.as_deref());
            match answered(&self.pool, batch).await? {
                Batch::Taken => {
                    report.taken = true;
                    break;
                }
                Batch::Deleted { rows: 0, .. } => break,
                Batch::Deleted {
                    rows,
                    low_water: reached,
                } => {
                    report.sessions += rows;
                    report.batches += 1;
                    low_water = reached;
                }
            }
            progress(report.sessions);
            let rest = batch_begun.elapsed().mul_f64(settings.pause_ratio);
            stop.run_until_stopped(tokio::time::sleep(rest)).await;
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
            select count(*) from {} s where s.{} < now()",
            self.sessions, self.expires
        );
        Ok(self
            .pool
            .get()
            .await?
            .query_one(&statement, &[])
            .await?
            .get(0))
    }

    /// Begins where the last batch left off: its dead rows are still in the index, and reading past them for
    /// every batch is what makes a long purge slower and slower.
    async fn delete_batch(&self, most: u32, low_water: Option<&str>) -> Result<Batch, Error> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        if !take_turn(&transaction).await? {
            return Ok(Batch::Taken);
        }
        let Self {
            key,
            expires,
            sessions,
            ..
        } = self;
        let statement = format!(
            "-- purger::delete_batch
            with expired as materialized (
                select s.{key} as session_key
                from {sessions} s
                where s.{expires} < now() and s.{expires} >= $1::text::timestamptz
                order by s.{expires}
                limit $2
                for update skip locked
            ), deleted as (
                delete from {sessions} s using expired e where s.{key} = e.session_key returning s.{expires} as expires
            )
            select count(*), max(d.expires)::text from deleted d"
        );
        let row = transaction
            .query_one(
                &statement,
                &[&low_water.unwrap_or("-infinity"), &i64::from(most)],
            )
            .await?;
        transaction.commit().await?;
        let rows = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        Ok(Batch::Deleted {
            rows,
            low_water: row.get(1),
        })
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
                where p.tick < to_timestamp($1::bigint)",
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

async fn take_turn(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let row = transaction
        .query_one(
            "-- purger::take_turn
            select pg_try_advisory_xact_lock($1, $2)",
            &[&LOCK_CLASS, &PURGING_LOCK],
        )
        .await?;
    Ok(row.get(0))
}
