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
//! Virtual transaction ids are used, because they cover transactions that have only read so far. Prepared transactions
//! are noted only when those have ended, because one of them may have prepared itself meanwhile. What is waited for is
//! kept in the database: `status` shows it, replicas share it, a restart loses nothing.

use std::time::{Duration, Instant};

use super::last_sweep::{finish, wait_for_one};
use super::{
    grace, horizon,
    table::{open, round::Round, sweep},
};
use crate::{
    connection::{Database, Error},
    link::linker::Linker,
    settings::Revoke,
    wording::span,
    worker::{InForce, Worker, backoff::Backoff, size::Size},
};

/// For so long a pass may begin to wait for one more locked row.
const LONGEST_WAITING: Duration = Duration::from_millis(500);

/// Settles; see the module.
pub struct Settler {
    database: Database,
    settings: InForce,
    linker: Linker,
    pace: Backoff,
    /// The sweeps during the wait go round, a batch at a time.
    waiting: Round,
    /// So do the last sweeps.
    ready: Round,
    /// How much at once.
    size: Size,
}

/// How a pass went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions that had appeared since the revocation, or had been locked, and were deleted now.
    pub late_sessions: i64,
    /// The numbers of revocations that are settled now.
    pub settled: Vec<i64>,
    /// Whether revocations are still open.
    pub open: bool,
    /// Whether there are open ones that this pass has not looked at.
    pub more: bool,
}

impl Worker for Settler {
    const NAME: &'static str = "settler";
    const TASK: &'static str = "settle";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        let report = self.settle_once().await;
        let report = self.size.note(report)?;
        if !report.settled.is_empty() || report.late_sessions > 0 {
            self.pace.reset();
            tracing::info!(
                revocation = span(&report.settled),
                settled = report.settled.len(),
                late_sessions = report.late_sessions,
                "settled"
            );
        }
        if !report.open {
            self.pace.reset();
            return Ok(Duration::from_secs(
                self.settings.now().listen.poll_interval_s,
            ));
        }
        if report.more {
            // Paced: as much rest as work (P6).
            return Ok(begun.elapsed());
        }
        Ok(self.pace.next())
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Settler {
    /// A settler that works on this database.
    pub fn new(database: Database, settings: InForce, linker: Linker) -> Self {
        let pace = Backoff::new(Duration::from_millis(4), Duration::from_secs(1));
        Self {
            database,
            settings,
            linker,
            pace,
            waiting: Round::default(),
            ready: Round::default(),
            size: Size::default(),
        }
    }

    /// One step for all open revocations.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn settle_once(&mut self) -> Result<Report, Error> {
        let settings = self.settings.now();
        let revoke = Revoke {
            batch_rows: self.size.of(settings.revoke.batch_rows),
            ..settings.revoke.clone()
        };
        if !open::any(&self.database).await? {
            return Ok(Report::default());
        }
        horizon::advance(&self.database, settings.revoke.settle_cap_s).await?;
        grace::begin(&self.database).await?;
        // An unread session keeps every revocation that it may be older than from settling.
        self.linker.try_to_drain().await?;
        let mut late_sessions = sweep_waiting(&self.database, &mut self.waiting, &revoke).await?;
        let finished = finish(&self.database, &mut self.ready, &revoke).await?;
        let contested = self.wait_for_some(finished.contested, &revoke);
        late_sessions += finished.sessions + contested.await?;
        Ok(Report {
            late_sessions,
            settled: finished.settled,
            open: open::any(&self.database).await?,
            more: finished.more,
        })
    }

    /// Each may take as long as a lock is waited for, and what is free must not wait for all of them. So each pass
    /// takes some of them, and the next pass takes others.
    async fn wait_for_some(
        &self,
        mut contested: Vec<i64>,
        settings: &Revoke,
    ) -> Result<i64, Error> {
        let begun = Instant::now();
        let mut sessions = 0;
        fastrand::shuffle(&mut contested);
        for id in contested {
            sessions += wait_for_one(&self.database, id, settings, &self.linker).await?;
            if begun.elapsed() >= LONGEST_WAITING {
                break;
            }
        }
        Ok(sessions)
    }
}

/// Most late sessions end here, long before the slowest transaction does: a dump may run for hours. Revocations that
/// merely wait are not written to.
async fn sweep_waiting(
    database: &Database,
    round: &mut Round,
    settings: &Revoke,
) -> Result<i64, Error> {
    database
        .work(async |mut client| {
            let transaction = client.transaction().await?;
            let window = open::waiting(&transaction, round, settings.batch_rows).await?;
            let due = open::lock_due(&transaction, &window, settings.write_back_grace_s).await?;
            if due.is_empty() {
                return Ok(0);
            }
            let swept = sweep(&transaction, &due, settings).await?;
            grace::end(&transaction, &due, settings.write_back_grace_s).await?;
            transaction.commit().await?;
            Ok(swept.sessions)
        })
        .await
}
