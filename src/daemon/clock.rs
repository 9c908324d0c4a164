//! Watches the server's clock, by which a login and a change are compared where there is nothing better. A time server,
//! an operator or a failover may set it back; a clock that only ever goes forward tells by how much.

use std::time::{Duration, Instant};

use tokio_postgres::Row;

use crate::{
    connection::{Database, Error},
    worker::Worker,
};

/// Changes that come before a look can notice that the clock was set back are looked at again, so this may be long.
const REST: Duration = Duration::from_secs(1);

/// A clock that is only slowed down loses less between two looks.
const TOLERANCE: Duration = Duration::from_millis(50);

/// Watches; see the module.
pub struct Clock {
    database: Database,
    last: Option<Look>,
    /// There may still be times that lie ahead, or a step may not be over.
    owes: bool,
}

/// What the clock showed, between two moments here.
#[derive(Clone, Debug)]
struct Look {
    asked_at: Instant,
    answered_at: Instant,
    shown_us: i64,
    /// All transactions before this one had ended.
    all_ended_before: String,
}

/// How far it was set back.
#[derive(Debug, PartialEq)]
struct Step {
    behind_s: f64,
    unseen_s: f64,
}

impl Worker for Clock {
    const NAME: &'static str = "clock";
    const TASK: &'static str = "watch the server's clock";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let look = look(&self.database).await?;
        if let Some(last) = &self.last
            && let Some(step) = look.step_since(last)
        {
            tracing::warn!(
                behind_s = step.behind_s,
                "the server's clock was set back, or this is another server whose clock is behind"
            );
            heed(&self.database, &step, &last.all_ended_before).await?;
            self.owes = true;
        }
        self.last = Some(look);
        if self.owes {
            self.owes = put_right(&self.database).await?;
        }
        Ok(REST)
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Clock {
    /// One that has not looked yet: the clock may have been set back while no daemon ran.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            last: None,
            owes: true,
        }
    }
}

impl Look {
    /// By as much as it is behind for certain, and then by as much as it may be.
    fn step_since(&self, last: &Self) -> Option<Step> {
        let shown_s = micros(self.shown_us - last.shown_us);
        let least = self.asked_at.saturating_duration_since(last.answered_at);
        let most = self.answered_at.saturating_duration_since(last.asked_at);
        let is_behind = shown_s < least.as_secs_f64() - TOLERANCE.as_secs_f64();
        is_behind.then_some(Step {
            behind_s: most.as_secs_f64() - shown_s,
            unseen_s: most.as_secs_f64(),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact for as long as two looks are less than centuries apart"
)]
fn micros(us: i64) -> f64 {
    us as f64 / 1e6
}

async fn look(database: &Database) -> Result<Look, Error> {
    database
        .work(async |client| {
            let asked_at = Instant::now();
            let row: Row = client
                .query_one(
                    "-- daemon::clock::look
                    select (extract(epoch from clock_timestamp()) * 1000000)::bigint,
                        pg_snapshot_xmin(pg_current_snapshot())::text",
                    &[],
                )
                .await?;
            Ok(Look {
                asked_at,
                answered_at: Instant::now(),
                shown_us: row.get(0),
                all_ended_before: row.get(1),
            })
        })
        .await
}

async fn heed(database: &Database, step: &Step, unseen_from: &str) -> Result<(), Error> {
    database
        .execute(
            "-- daemon::clock::heed
            select session_reaper.heed_step_back($1, $2, $3::text::xid8)",
            &[&step.behind_s, &step.unseen_s, &unseen_from],
        )
        .await?;
    Ok(())
}

/// Returns whether there is more to do.
async fn put_right(database: &Database) -> Result<bool, Error> {
    let row = database
        .query_one(
            "-- daemon::clock::put_right
            with forgotten as materialized (select session_reaper.forget_steps())
            select session_reaper.unset_times_ahead()
                or exists (select from session_reaper.clock_step)
            from forgotten",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(base: Instant, asked_ms: u64, took_ms: u64, shown_ms: i64) -> Look {
        Look {
            asked_at: base + Duration::from_millis(asked_ms),
            answered_at: base + Duration::from_millis(asked_ms + took_ms),
            shown_us: shown_ms * 1000,
            all_ended_before: "3".to_owned(),
        }
    }

    #[test]
    fn an_answer_that_takes_its_time_is_no_step() {
        let base = Instant::now();
        let last = look(base, 0, 900, 5);
        assert_eq!(look(base, 1000, 1, 120).step_since(&last), None);
    }

    #[test]
    fn a_clock_that_goes_back_is_behind_by_all_that_it_may_have_lost() {
        let base = Instant::now();
        let last = look(base, 0, 0, 10_000);
        let step = look(base, 1000, 0, 7_000).step_since(&last).unwrap();
        assert_eq!((step.behind_s, step.unseen_s), (4.0, 1.0));
    }

    #[test]
    fn a_clock_that_is_set_on_is_nothing_to_look_at() {
        let base = Instant::now();
        let last = look(base, 0, 0, 10_000);
        assert_eq!(look(base, 1000, 0, 99_000).step_since(&last), None);
    }
}
