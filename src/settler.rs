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

use std::time::Duration;

use crate::{
    backoff::Backoff,
    connection::{Error, Pool, answered},
    grace, horizon,
    reader::Reader,
    revocation::{
        self,
        open::{self, Marked},
        sweep,
    },
    settings::Revoke,
    wording::span,
    worker::{InForce, Worker},
};

/// Sweeps that had to skip a row before one row is waited for.
const SKIPS_BEFORE_WAITING: i32 = 3;

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
            let wait = wait_for_one(&pool, *id, &settings.revoke);
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
        transaction.commit().await?;
        Ok(sessions)
    }
}

struct Finished {
    sessions: i64,
    settled: Vec<i64>,
    contested: Vec<i64>,
}

/// The last sweep, and the mark only where a later look finds that it left nothing behind.
async fn finish(pool: &Pool, settings: &Revoke) -> Result<Finished, Error> {
    let mut client = pool.get().await?;
    let transaction = revocation::begin(&mut client).await?;
    let ready = open::ready(&transaction, settings).await?;
    let ids: Vec<i64> = ready.iter().map(|(id, _)| *id).collect();
    if ids.is_empty() {
        return Ok(Finished {
            sessions: 0,
            settled: Vec::new(),
            contested: Vec::new(),
        });
    }
    let sessions = sweep(&transaction, &ids, settings).await?;
    let marked = open::mark_settled(&transaction, &ids, settings.write_back_grace_s).await?;
    let mut settled: Vec<i64> = marked
        .iter()
        .filter(|marked| marked.settled)
        .map(|marked| marked.id)
        .collect();
    revocation::tell(&transaction, &settled, settings).await?;
    transaction.commit().await?;
    marked.iter().for_each(complain);
    // Rows come back in any order.
    settled.sort_unstable();
    let contested = ready
        .into_iter()
        .filter(|(id, attempts)| *attempts >= SKIPS_BEFORE_WAITING && !settled.contains(id))
        .map(|(id, _)| id)
        .collect();
    Ok(Finished {
        sessions,
        settled,
        contested,
    })
}

/// A session that the database refuses to delete is tried again for ever, and said less and less often.
fn complain(marked: &Marked) {
    if let Some(sqlstate) = &marked.last_error
        && marked.attempts.count_ones() == 1
    {
        tracing::error!(
            revocation = marked.id,
            sqlstate,
            attempts = marked.attempts,
            "a session cannot be deleted, perhaps because of a trigger of the site's; this revocation stays open, the others go on"
        );
    }
}

/// Waits for one locked row, in a transaction that holds no other. That it may have to wait again is no error.
async fn wait_for_one(pool: &Pool, id: i64, settings: &Revoke) -> Result<i64, Error> {
    let mut client = pool.get().await?;
    let transaction = revocation::begin(&mut client).await?;
    let result = transaction
        .query_one(
            "-- settler::wait_for_one
            select session_reaper.sweep_one($1, $2)",
            &[&id, &(settings.write_back_grace_s > 0)],
        )
        .await
        .map_err(Error::from);
    match result {
        Ok(row) => {
            transaction.commit().await?;
            Ok(row.get(0))
        }
        Err(error) if error.is_lock_timeout() => Ok(0),
        Err(error) => Err(error),
    }
}
