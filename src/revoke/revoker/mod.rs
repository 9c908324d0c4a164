//! Ends the sessions of every revocation that has been requested.
//!
//! Woken by the bell, that is by NOTIFY or a reconnect, or by its own poll. It claims rows that no other daemon has
//! claimed, deletes up to `batch_rows` of their sessions and marks those that have none left, in one short transaction:
//! there is no "running" state that a crash could leave behind (P3), and any number of daemons share the work. A row
//! that fails is postponed alone and does not hold up the rest.

mod batch;
mod everybody;
mod report;

use std::time::{Duration, Instant};

use crate::{
    connection::{Database, Error},
    link::linker::Linker,
    process::{fitness::Fitness, repeated::Repeated},
    settings::Revoke,
    worker::{InForce, Worker, bell::Bell, size::Size},
};
pub use report::{More, Report};

/// For so long the settler is not told of what was swept while there is more to sweep. Otherwise the database would
/// look at what merely waits to be settled, and the sessions of others would end later.
const LONGEST_UNTOLD: Duration = Duration::from_secs(1);

/// Ends sessions; see the module.
pub struct Revoker {
    /// What it works on.
    pub database: Database,
    /// How many rows at once.
    pub settings: InForce,
    /// Links the sessions that were written before a revocation.
    pub linker: Linker,
    /// Rung when there is something to settle.
    pub settler: Bell,
    /// Rung when a cache may have something to forget.
    pub evictor: Bell,
    /// Told whether revoking makes progress.
    pub fitness: Fitness,
    /// What has been reported of revocations that wait.
    pub complaints: Repeated,
    /// How much at once.
    pub size: Size,
    /// Since when there has been something to settle that the settler has not been told of.
    pub untold: Option<Instant>,
}

impl Worker for Revoker {
    const NAME: &'static str = "revoker";
    const TASK: &'static str = "revoke";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        let result = self.revoke_some().await;
        let result = self.size.note(result);
        self.note(&result);
        self.tell_settler(result.as_ref().ok());
        let report = result?;
        let poll = Duration::from_secs(self.settings.now().listen.poll_interval_s);
        Ok(match report.more {
            More::Now => Duration::ZERO,
            // Everybody's sessions are paced: as much rest as work, unless the bell rings for another revocation (P6).
            More::Paced => begun.elapsed().max(report.rest.min(poll)),
            More::No => poll,
        })
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Revoker {
    fn note_progress(&mut self, report: &Report) {
        if report.is_progress() {
            self.untold.get_or_insert_with(Instant::now);
        }
    }

    /// At once where nothing is left to sweep, even if the rest has failed: what has been swept can settle.
    fn tell_settler(&mut self, report: Option<&Report>) {
        let goes_on = report.is_some_and(|report| report.more == More::Now);
        if let Some(since) = self.untold
            && (!goes_on || since.elapsed() >= LONGEST_UNTOLD)
        {
            self.settler.ring();
            self.untold = None;
        }
    }

    /// What is transient is the listener's business: its heartbeat goes through the same database.
    fn note(&self, result: &Result<Report, Error>) {
        match result {
            Ok(report) if report.is_progress() => self.fitness.succeeded(),
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
    pub async fn revoke_some(&mut self) -> Result<Report, Error> {
        let settings = self.settings.now();
        let settings = Revoke {
            batch_rows: self.size.of(settings.revoke.batch_rows),
            ..settings.revoke.clone()
        };
        let (mut report, everybody) = self.revoke_batch(&settings).await?;
        if report.is_progress() {
            self.evictor.ring();
        }
        self.note_progress(&report);
        if !everybody {
            return Ok(report);
        }
        let page = self.revoke_page(&settings).await?;
        if let Some(page) = &page {
            report.sessions += page.ended;
            report.pages += usize::from(page.swept);
            self.note_progress(&report);
        }
        if report.more == More::No
            && let Some(page) = page.filter(|page| page.more)
        {
            (report.more, report.rest) = (More::Paced, page.rest);
        }
        Ok(report)
    }
}
