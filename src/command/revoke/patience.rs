//! How long a revocation by hand goes on.

use std::time::Duration;

use tokio::time::Instant;

use crate::{connection::Error, worker::Worker};

/// Between two looks.
pub const A_MOMENT: Duration = Duration::from_millis(100);

/// How often in a row it is worth trying less. No setting allows batches that can be halved more often.
const MOST_TIMEOUTS: u32 = 17;

/// It does not run out as long as sessions end: millions of sessions take longer than the wait.
pub struct Patience {
    wait: Duration,
    deadline: Instant,
    ended: i64,
    timeouts: u32,
}

impl Patience {
    /// Runs out this long after the last session has ended.
    pub fn new(wait: Duration) -> Self {
        Self {
            wait,
            deadline: Instant::now() + wait,
            ended: 0,
            timeouts: 0,
        }
    }

    /// How many sessions have ended so far.
    pub fn note(&mut self, ended: i64) {
        if ended > self.ended {
            self.ended = ended;
            self.timeouts = 0;
            self.go_on();
        }
    }

    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// One pass. A lock that another session held for a while leaves the work to the next pass, and so does running out of
    /// time: the worker then does less at once. It would begin anew with all of it if the command were given again.
    pub async fn pass(&mut self, worker: &mut impl Worker) -> Result<Duration, Error> {
        match worker.run_once().await {
            Err(error) if error.is_out_of_time() => {
                self.timeouts += 1;
                if self.timeouts <= MOST_TIMEOUTS {
                    self.go_on();
                }
                Ok(Duration::ZERO)
            }
            Err(error) if error.is_lock_timeout() => Ok(A_MOMENT),
            result => result,
        }
    }

    fn go_on(&mut self) {
        self.deadline = Instant::now() + self.wait;
    }
}
