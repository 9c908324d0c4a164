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

use tokio_postgres::Client;

use crate::{
    backoff::Backoff,
    connection::{Error, Pool},
    grace, horizon,
    revoker::sweep,
    settings::Revoke,
    worker::{InForce, Worker},
};

/// Sweeps that had to skip a row before one row is waited for.
const SKIPS_BEFORE_WAITING: i32 = 3;

/// Settles; see the module.
pub struct Settler {
    pool: Pool,
    settings: InForce,
    pace: Backoff,
    /// Where the sweeps during the wait have got to: they go round, a batch at a time.
    swept_to: i64,
}

/// How a pass went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions that had appeared since the revocation, or had been locked, and were deleted now.
    pub late_sessions: i64,
    /// Revocations that are settled.
    pub settled: usize,
    /// Revocations that are still open.
    pub open: i64,
}

impl Worker for Settler {
    const TASK: &'static str = "settle";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let report = self.settle_once().await?;
        if report.settled > 0 || report.late_sessions > 0 {
            self.pace.reset();
            tracing::info!(
                settled = report.settled,
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
    pub fn new(pool: Pool, settings: InForce) -> Self {
        let pace = Backoff::new(Duration::from_millis(4), Duration::from_secs(1));
        Self {
            pool,
            settings,
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
        let mut client = self.pool.get().await?;
        if open(&client).await? == 0 {
            return Ok(Report::default());
        }
        horizon::advance(&client, settings.revoke.settle_cap_s).await?;
        grace::begin(&client).await?;
        let mut report = Report {
            late_sessions: self.sweep_waiting(&mut client, &settings.revoke).await?,
            ..Report::default()
        };
        let finished = finish(&mut client, &settings.revoke).await?;
        for id in &finished.contested {
            report.late_sessions += wait_for_one(&mut client, *id, &settings.revoke).await?;
        }
        report.late_sessions += finished.sessions;
        report.settled = finished.settled;
        report.open = open(&client).await?;
        Ok(report)
    }

    /// Most late sessions end here, long before the slowest transaction has: a dump may run for hours.
    async fn sweep_waiting(
        &mut self,
        client: &mut deadpool_postgres::Object,
        settings: &Revoke,
    ) -> Result<i64, Error> {
        let transaction = client.transaction().await?;
        let rows = transaction
            .query(
                "-- settler::sweep_waiting
                select r.id
                from session_reaper.revocation r
                left join session_reaper.horizon h on h.id = r.horizon_id
                where r.state = 'revoked' and r.id > $1 and h.passed_at is null
                order by r.id
                limit $2
                for update of r skip locked",
                &[&self.swept_to, &i64::from(settings.batch_rows)],
            )
            .await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        self.swept_to = ids.last().copied().unwrap_or(0);
        let sessions = if ids.is_empty() {
            0
        } else {
            sweep(&transaction, &ids, settings).await?
        };
        transaction.commit().await?;
        Ok(sessions)
    }
}

async fn open(client: &Client) -> Result<i64, Error> {
    let row = client
        .query_one(
            "-- settler::open
            select count(*) from session_reaper.revocation r where r.state = 'revoked'",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

struct Finished {
    sessions: i64,
    settled: usize,
    contested: Vec<i64>,
}

/// The last sweep, and the mark only where a later look finds that it left nothing behind.
async fn finish(
    client: &mut deadpool_postgres::Object,
    settings: &Revoke,
) -> Result<Finished, Error> {
    let transaction = client.transaction().await?;
    let rows = transaction
        .query(
            "-- settler::ready
            select r.id, r.attempts
            from session_reaper.revocation r
            join session_reaper.horizon h on h.id = r.horizon_id
            where r.state = 'revoked'
              and h.passed_at is not null
              and coalesce(r.remembered_at, r.revoked_at) + $1::double precision * interval '1 second' <= clock_timestamp()
              and r.next_attempt_at <= clock_timestamp()
            order by r.id
            limit $2
            for update of r skip locked",
            &[&(settings.write_back_grace_s as f64), &i64::from(settings.batch_rows)],
        )
        .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    if ids.is_empty() {
        return Ok(Finished {
            sessions: 0,
            settled: 0,
            contested: Vec::new(),
        });
    }
    let sessions = sweep(&transaction, &ids, settings).await?;
    let settled = mark_settled(&transaction, &ids, settings.write_back_grace_s).await?;
    transaction.commit().await?;
    let contested = rows
        .iter()
        .filter(|row| row.get::<_, i32>(1) >= SKIPS_BEFORE_WAITING)
        .map(|row| row.get(0))
        .filter(|id| !settled.contains(id))
        .collect();
    Ok(Finished {
        sessions,
        settled: settled.len(),
        contested,
    })
}

async fn mark_settled(
    transaction: &tokio_postgres::Transaction<'_>,
    ids: &[i64],
    grace_s: u64,
) -> Result<Vec<i64>, Error> {
    let rows = transaction
        .query(
            "-- settler::mark_settled
            with left_over as materialized (
                select distinct c.revocation_id as id from session_reaper.condemned($1) c
                union
                -- What the last sweep itself has ended may be written back, too.
                select r.id
                from session_reaper.revocation r
                where r.id = any ($1)
                  and r.remembered_at + $2::double precision * interval '1 second' > clock_timestamp()
            ), marked as (
                update session_reaper.revocation r
                set state = case when l.id is null then 'settled' else r.state end,
                    settled_at = case when l.id is null then clock_timestamp() end,
                    attempts = r.attempts + 1,
                    next_attempt_at = clock_timestamp()
                        + least(interval '5 ms' * 2 ^ least(r.attempts, 9), interval '1 second')
                from unnest($1) as i (id)
                left join left_over l on l.id = i.id
                where r.id = i.id
                returning r.id, r.state
            ), forgotten as (
                delete from session_reaper.revoked_key k
                using marked m
                where m.state = 'settled' and k.revocation_id = m.id
            )
            select m.id from marked m where m.state = 'settled'",
            &[&ids, &(grace_s as f64)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Waits for one locked row, in a transaction that holds no other. That it may have to wait again is no error.
async fn wait_for_one(
    client: &mut deadpool_postgres::Object,
    id: i64,
    settings: &Revoke,
) -> Result<i64, Error> {
    let result = client
        .query_one(
            "-- settler::wait_for_one
            select session_reaper.sweep_one($1, $2)",
            &[&id, &(settings.write_back_grace_s > 0)],
        )
        .await
        .map_err(Error::from);
    match result {
        Ok(row) => Ok(row.get(0)),
        Err(error) if error.is_lock_timeout() => Ok(0),
        Err(error) => Err(error),
    }
}
