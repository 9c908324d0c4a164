//! When to purge: a cron expression in UTC.
//!
//! The scheduler overlaps runs, ticks twice a second and may start a job after it has been shut down. So all
//! that its job does is ring the purger's bell; the purger is one task, and runs cannot overlap.

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::{
    process::shutdown::Stop,
    worker::{InForce, bell::Bell},
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
pub(super) fn last_tick(schedule: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
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
