//! Whether the daemon's own thread gets to run. A check from another thread would get an answer even if a worker never gave
//! the thread back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::shutdown::Stop;

/// How often it beats.
const EVERY: Duration = Duration::from_secs(1);

/// Beats; clones are one pulse.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// Beats until it is time to stop.
    pub async fn beat(self, stop: Stop) {
        while !stop.is_stopped() {
            *self.last() = Instant::now();
            stop.run_until_stopped(tokio::time::sleep(EVERY)).await;
        }
    }

    /// How long ago it beat.
    pub fn age(&self) -> Duration {
        self.last().elapsed()
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pulse_that_stands_still_gets_old_and_one_that_beats_does_not() {
        let (pulse, stop) = (Pulse::default(), Stop::default());
        std::thread::sleep(Duration::from_millis(20));
        let stood_still = pulse.age();
        assert!(stood_still >= Duration::from_millis(20));
        tokio::spawn(pulse.clone().beat(stop.clone()));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(pulse.age() < stood_still);
    }
}
