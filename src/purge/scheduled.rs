//! The worker that purges at the times of the schedule.

use std::time::Duration;

use chrono::Utc;

use super::{purger::Purger, schedule::last_tick};
use crate::{
    connection::{Database, Error},
    process::shutdown::Stop,
    worker::{InForce, Worker},
};

/// The worker; see the module.
pub struct ScheduledPurger {
    /// What purges.
    pub purger: Purger,
    /// What it works on.
    pub database: Database,
    /// When, how much and how fast.
    pub settings: InForce,
    /// Ends a pass between two batches.
    pub stop: Stop,
    /// A time was taken, and its purge has failed so far. It is tried again, and stays a failure until it works.
    pub owed: bool,
}

impl Worker for ScheduledPurger {
    const NAME: &'static str = "purger";
    const TASK: &'static str = "purge";

    /// Also looks without being rung, because a time that passed while no daemon ran has to be made up for.
    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        let rest = Duration::from_secs(3600);
        let Some(tick) = last_tick(&settings.purge.schedule, Utc::now()) else {
            return Ok(rest);
        };
        let claimed = self.purger.claim(tick.timestamp()).await?;
        if !claimed && !self.owed {
            return Ok(rest);
        }
        self.owed = true;
        let report = self
            .purger
            .purge(&settings.purge, &self.stop, |_| {})
            .await?;
        self.purger.remember(&report).await?;
        self.owed = false;
        if report.sessions > 0 || report.revocations > 0 {
            tracing::info!(
                sessions = report.sessions,
                revocations = report.revocations,
                batches = report.batches,
                duration_ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
                "purged"
            );
        }
        Ok(rest)
    }

    fn database(&self) -> &Database {
        &self.database
    }
}
