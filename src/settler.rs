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
        let pool = self.pool.clone();
        if answered(&pool, open(&pool)).await? == 0 {
            return Ok(Report::default());
        }
        let advance = horizon::advance(&pool, settings.revoke.settle_cap_s);
        answered(&pool, advance).await?;
        answered(&pool, grace::begin(&pool)).await?;
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
        report.open = answered(&pool, open(&pool)).await?;
        Ok(report)
    }

    /// Most late sessions end here, long before the slowest transaction has: a dump may run for hours.
    async fn sweep_waiting(&mut self, settings: &Revoke) -> Result<i64, Error> {
        let mut client = self.pool.get().await?;
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

async fn open(pool: &Pool) -> Result<i64, Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let row = transaction
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
async fn finish(pool: &Pool, settings: &Revoke) -> Result<Finished, Error> {
    let mut client = pool.get().await?;
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
                select array(
                    select i.id from unnest(session_reaper.unfinished($1)) as i (id)
                    union
                    -- What the last sweep itself has ended may be written back, too.
                    select r.id
                    from session_reaper.revocation r
                    where r.id = any ($1)
                      and r.remembered_at + $2::double precision * interval '1 second' > clock_timestamp()
                ) as ids
            ), marked as (
                update session_reaper.revocation r
                set state = case when r.id = any (l.ids) then r.state else 'settled' end,
                    settled_at = case when r.id = any (l.ids) then null else clock_timestamp() end,
                    attempts = r.attempts + 1,
                    next_attempt_at = clock_timestamp()
                        + least(interval '5 ms' * 2 ^ least(r.attempts, 9), interval '1 second'),
                    last_error = case when r.id = any (l.ids) then r.last_error end
                from left_over l
                where r.id = any ($1)
                returning r.id, r.state, r.attempts, r.last_error
            ), forgotten as (
                delete from session_reaper.revoked_key k
                using marked m
                where m.state = 'settled' and k.revocation_id = m.id
            )
            select m.id, m.state = 'settled', m.attempts, m.last_error from marked m",
            &[&ids, &(grace_s as f64)],
        )
        .await?;
    for row in &rows {
        complain(row.get(0), row.get(2), row.get(3));
    }
    let settled = rows.iter().filter(|row| row.get(1));
    Ok(settled.map(|row| row.get(0)).collect())
}

/// A session that the database refuses to delete is tried again for ever, and said less and less often.
fn complain(revocation: i64, attempts: i32, sqlstate: Option<&str>) {
    if let Some(sqlstate) = sqlstate
        && attempts.count_ones() == 1
    {
        tracing::error!(
            revocation,
            sqlstate,
            attempts,
            "a session cannot be deleted, perhaps because of a trigger of the site's; this revocation stays open, the others go on"
        );
    }
}

/// Waits for one locked row, in a transaction that holds no other. That it may have to wait again is no error.
async fn wait_for_one(pool: &Pool, id: i64, settings: &Revoke) -> Result<i64, Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
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
