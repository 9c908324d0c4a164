//! Keeps a revocation open until no older session exists and none can appear any more (P1).
//!
//! A transaction that was running at the change may still commit a session that no sweep could see.
//!
//! ```text
//!  revoked --note who is running--> waiting --all ended--> prepared ones --all ended--> drained
//!     ^                                |  sweeps meanwhile                                 |
//!     +---- a session was left over ---+---------------- last sweep: nothing left --> settled
//! ```
//!
//! Virtual transaction ids, because they cover transactions that have only read so far. Prepared
//! transactions are noted only when those have ended, because one of them may have prepared itself meanwhile.
//! What is waited for is kept in the database: `status` shows it, replicas share it, a restart loses nothing.

mod last_sweep;

use std::time::Duration;

use crate::{
    backoff::Backoff,
    connection::{Error, Pool, answered},
    grace, horizon,
    reader::Reader,
    revocation::{self, open, sweep},
    settings::Revoke,
    wording::span,
    worker::{InForce, Worker},
};
use last_sweep::{finish, wait_for_one};

/// Settles; see the module.
pub struct Settler {
    pool: Pool,
    settings: InForce,
    reader: Reader,
    pace: Backoff,
    /// Where the sweeps during the wait have got to: they go round, a batch at a time.
    swept_to: i64,
}

/// How a pass went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions that had appeared since the revocation, or had been locked, and were deleted now.
    pub late_sessions: i64,
    /// The numbers of revocations that are settled now.
    pub settled: Vec<i64>,
    /// Revocations that are still open.
    pub open: i64,
}

impl Worker for Settler {
    const TASK: &'static str = "settle";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let report = self.settle_once().await?;
        if !report.settled.is_empty() || report.late_sessions > 0 {
            self.pace.reset();
            tracing::info!(
                revocation = span(&report.settled),
                settled = report.settled.len(),
                late_sessions = report.late_sessions,
                open = report.open,
                "settled"
            );
        }
        if report.open == 0 {
            self.pace.reset();
            return Ok(Duration::from_secs(
                self.settings.now().listen.poll_interval_s,
            ));
        }
        Ok(self.pace.next())
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Settler {
    /// A settler that takes its connections from this pool.
    pub fn new(pool: Pool, settings: InForce, reader: Reader) -> Self {
        let pace = Backoff::new(Duration::from_millis(4), Duration::from_secs(1));
        Self {
            pool,
            settings,
            reader,
            pace,
            swept_to: 0,
        }
    }

    /// One step for all open revocations.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn settle_once(&mut self) -> Result<Report, Error> {
        let settings = self.settings.now();
        let pool = self.pool.clone();
        if answered(&pool, open::count(&pool)).await? == 0 {
            return Ok(Report::default());
        }
        let advance = horizon::advance(&pool, settings.revoke.settle_cap_s);
        answered(&pool, advance).await?;
        answered(&pool, grace::begin(&pool)).await?;
        // A session that has not been read keeps what it may be older than from settling.
        self.reader.try_to_drain().await?;
        let mut report = Report {
            late_sessions: answered(&pool, self.sweep_waiting(&settings.revoke)).await?,
            ..Report::default()
        };
        let finished = answered(&pool, finish(&pool, &settings.revoke)).await?;
        for id in &finished.contested {
            let wait = wait_for_one(&pool, *id, &settings.revoke, &self.reader);
            report.late_sessions += answered(&pool, wait).await?;
        }
        report.late_sessions += finished.sessions;
        report.settled = finished.settled;
        report.open = answered(&pool, open::count(&pool)).await?;
        Ok(report)
    }

    /// Most late sessions end here, long before the slowest transaction has: a dump may run for hours.
    async fn sweep_waiting(&mut self, settings: &Revoke) -> Result<i64, Error> {
        let mut client = self.pool.get().await?;
        let transaction = revocation::begin(&mut client).await?;
        let ids = open::waiting(&transaction, self.swept_to, settings.batch_rows).await?;
        self.swept_to = ids.last().copied().unwrap_or(0);
        let sessions = sweep(&transaction, &ids, settings).await?;
        grace::end(&transaction, &ids, settings.write_back_grace_s).await?;
        transaction.commit().await?;
        Ok(sessions)
    }
}
