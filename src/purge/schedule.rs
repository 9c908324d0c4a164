//! When to purge: a cron expression in UTC.
//!
//! The scheduler overlaps runs, ticks twice a second and may start a job after it has been shut down. So all
//! that its job does is ring the purger's bell; the purger is one task, and runs cannot overlap.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::purger::Purger;
use crate::{
    connection::{Database, Error},
    process::shutdown::Stop,
    worker::{InForce, Worker, bell::Bell},
};

/// Rings the bell at every time of the schedule, until the settings bring another one.
pub async fn ring_on_schedule(mut settings: InForce, bell: Bell, stop: Stop) {
    while !stop.is_stopped() {
        let schedule = settings.now().purge.schedule.clone();
        let scheduler = match start(&schedule, &bell).await {
            Ok(scheduler) => Some(scheduler),
            Err(error) => {
                // The expression was checked with the settings, so this is the scheduler's own trouble.
                tracing::error!(%error, schedule, "could not schedule the purge; it runs once an hour instead");
                None
            }
        };
        while !stop.is_stopped() && settings.now().purge.schedule == schedule {
            stop.run_until_stopped(settings.changed()).await;
        }
        if let Some(mut scheduler) = scheduler {
            let _ = scheduler.shutdown().await;
        }
    }
}

async fn start(schedule: &str, bell: &Bell) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    if !schedule.is_empty() {
        let bell = bell.clone();
        scheduler
            .add(Job::new(schedule, move |_, _| bell.ring())?)
            .await?;
        scheduler.start().await?;
    }
    Ok(scheduler)
}

/// The last time of the schedule that is not after `now`.
fn last_tick(schedule: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = parse(schedule)?;
    schedule.find_previous_occurrence(&now, true).ok()
}

/// The next time of the schedule, in seconds since 1970; none where nothing is scheduled.
pub fn next_tick(schedule: &str) -> Option<i64> {
    let next = parse(schedule)?.find_next_occurrence(&Utc::now(), false);
    Some(next.ok()?.timestamp())
}

/// As the scheduler itself parses it, or the two would disagree on what a field means.
fn parse(schedule: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build();
    parser.parse(schedule).ok()
}

/// Purges at the times of the schedule; see the module.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tick_is_the_newest_time_that_has_passed() {
        let now = DateTime::from_timestamp(1_700_000_123, 0).unwrap();
        let tick = last_tick("0 */5 * * * *", now).unwrap();
        assert_eq!(tick.timestamp() % 300, 0);
        assert!(tick <= now && now.timestamp() - tick.timestamp() < 300);
    }

    #[test]
    fn an_empty_schedule_never_ticks() {
        assert_eq!(last_tick("", Utc::now()), None);
        assert_eq!(next_tick(""), None);
        let next = next_tick("0 */5 * * * *").unwrap();
        assert!(next % 300 == 0 && next > Utc::now().timestamp() - 1);
    }
}
