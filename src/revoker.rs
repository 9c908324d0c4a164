//! Ends the sessions of every revocation that has been requested.
//!
//! Woken by the bell, that is by NOTIFY or a reconnect, or by its own poll. It claims up to `batch_rows`
//! rows that nobody else has claimed, deletes their sessions and marks them, in one short transaction: there
//! is no "running" state that a crash could leave behind (P3), and any number of daemons share the work.
//! A row that fails is postponed alone and does not hold up the rest.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use crate::{
    bell::Bell,
    connection::{Error, Pool, answered},
    fitness::Fitness,
    reader::Reader,
    revocation::{self, requested},
    settings::Revoke,
    wording::span,
    worker::{InForce, Worker},
};

/// Ends sessions; see the module.
pub struct Revoker {
    /// Where to take connections from.
    pub pool: Pool,
    /// How many rows at once.
    pub settings: InForce,
    /// Links the sessions that were written before a revocation.
    pub reader: Reader,
    /// Rung when there is something to settle.
    pub settler: Bell,
    /// Rung when a cache may have something to forget.
    pub evictor: Bell,
    /// Told whether revoking comes to anything.
    pub fitness: Fitness,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Revocations that were swept for the first time.
    pub revocations: usize,
    /// Revocations that failed and wait.
    pub postponed: usize,
    /// Sessions that were deleted.
    pub sessions: i64,
    /// Whether there is more to do.
    pub more: More,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// At once.
    Now,
    /// After a rest.
    Paced,
    /// Not that we knew.
    #[default]
    No,
}

impl Worker for Revoker {
    const TASK: &'static str = "revoke";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        let result = self.revoke_some().await;
        self.note(&result);
        let report = result?;
        Ok(match report.more {
            More::Now => Duration::ZERO,
            // Everybody's sessions are paced: as much rest as work, unless somebody else's bell rings (P6).
            More::Paced => begun.elapsed(),
            More::No => Duration::from_secs(self.settings.now().listen.poll_interval_s),
        })
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Revoker {
    /// What is transient is the listener's business: its heartbeat goes through the same database.
    fn note(&self, result: &Result<Report, Error>) {
        match result {
            Ok(report) if report.revocations > 0 || report.more == More::Paced => {
                self.fitness.succeeded();
            }
            Ok(report) if report.postponed > 0 => self.fitness.failed(),
            Err(error) if !error.is_transient() => self.fitness.failed(),
            _ => {}
        }
    }

    /// One batch, and one page of a revocation of everybody, so that neither holds up the other and a stop is
    /// heard in between.
    ///
    /// # Errors
    /// When the database cannot be reached; a revocation that fails by itself is postponed instead.
    pub async fn revoke_some(&self) -> Result<Report, Error> {
        let settings = self.settings.now();
        if answered(&self.pool, requested::any(&self.pool)).await? {
            self.reader.try_to_drain().await?;
        }
        let mut report = self.revoke_batch(&settings.revoke).await?;
        if report.revocations > 0 {
            self.evictor.ring();
            self.settler.ring();
        }
        let page = self.revoke_page(&settings.revoke).await?;
        report.sessions += page.as_ref().map_or(0, |page| page.ended);
        report.more = match page {
            _ if report.revocations >= settings.revoke.batch_rows as usize => More::Now,
            Some(page) if page.more => More::Paced,
            _ => More::No,
        };
        Ok(report)
    }

    /// One transaction for many revocations; where that fails for another reason than a lost connection, one
    /// for each, so that only the culprit waits.
    async fn revoke_batch(&self, settings: &Revoke) -> Result<Report, Error> {
        match self.revoke(settings, settings.batch_rows).await {
            Err((ids, error)) if !error.is_transient() && !ids.is_empty() => {
                self.revoke_each(settings, ids.len()).await
            }
            result => result.map_err(|(_, error)| error),
        }
    }

    async fn revoke_each(&self, settings: &Revoke, count: usize) -> Result<Report, Error> {
        let mut total = Report::default();
        for _ in 0..count {
            match self.revoke(settings, 1).await {
                Ok(report) => {
                    total.revocations += report.revocations;
                    total.sessions += report.sessions;
                }
                Err((ids, error)) if !ids.is_empty() => {
                    self.postpone(&ids, &error).await?;
                    total.postponed += ids.len();
                }
                Err((_, error)) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Claims, sweeps and marks. With an error comes what had been claimed.
    async fn revoke(&self, settings: &Revoke, most: u32) -> Result<Report, (Vec<i64>, Error)> {
        let mut ids = Vec::new();
        let report = answered(&self.pool, async {
            let mut client = self.pool.get().await?;
            let transaction = revocation::begin(&mut client).await?;
            ids = requested::claim(&transaction, most).await?;
            let sessions = revocation::sweep(&transaction, &ids, settings).await?;
            requested::mark(&transaction, &ids).await?;
            revocation::tell(&transaction, &ids, settings).await?;
            transaction.commit().await?;
            if let Some(revocation) = span(&ids) {
                tracing::info!(revocation, revocations = ids.len(), sessions, "revoked");
            }
            Ok(Report {
                revocations: ids.len(),
                sessions,
                ..Report::default()
            })
        })
        .await;
        report.map_err(|error| (ids, error))
    }

    async fn postpone(&self, ids: &[i64], error: &Error) -> Result<(), Error> {
        tracing::error!(revocation = ?ids, %error, "could not revoke; this one waits, the others go on");
        let state = error.sqlstate().map(SqlState::code);
        answered(&self.pool, requested::postpone(&self.pool, ids, state)).await
    }

    /// The breach switch, a page of links at a time. Its row is locked while a page is read, so that replicas
    /// do not walk side by side.
    async fn revoke_page(&self, settings: &Revoke) -> Result<Option<revocation::Page>, Error> {
        let page = answered(&self.pool, async {
            let mut client = self.pool.get().await?;
            let transaction = revocation::begin(&mut client).await?;
            let Some(id) = requested::claim_everyone(&transaction).await? else {
                return Ok(None);
            };
            let page = revocation::sweep_everyone(&transaction, id, settings).await?;
            if !page.more {
                requested::mark(&transaction, &[id]).await?;
                revocation::tell(&transaction, &[id], settings).await?;
            }
            transaction.commit().await?;
            if !page.more {
                tracing::info!(revocation = id, "revoked everybody");
            }
            Ok(Some(page))
        })
        .await?;
        if page.is_some() {
            self.evictor.ring();
        }
        if page.as_ref().is_some_and(|page| !page.more) {
            self.settler.ring();
        }
        Ok(page)
    }
}
