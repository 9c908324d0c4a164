//! What commands do about a lock that passes: they wait for it. A daemon tries again by itself; a command would have
//! ended, and the operator would have to give it again.

use std::time::{Duration, Instant};

use super::{backoff::Backoff, size::Size};
use crate::connection::Error;
use crate::process::shutdown::Stop;

/// Longer than one of the site's migrations, or another daemon's purge, keeps a lock.
const LONGEST: Duration = Duration::from_secs(60);

/// An error that may be about another transaction's lock.
pub trait MayPass {
    /// Whether it is.
    fn is_lock_timeout(&self) -> bool;
}

impl MayPass for Error {
    fn is_lock_timeout(&self) -> bool {
        self.is_lock_timeout()
    }
}

/// How long another transaction's lock has been in the way.
pub struct Passing<'a> {
    stop: &'a Stop,
    since: Option<Instant>,
    pace: Backoff,
}

impl<'a> Passing<'a> {
    /// For work that ends when it is time to stop.
    pub fn new(stop: &'a Stop) -> Self {
        let pace = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        Self {
            stop,
            since: None,
            pace,
        }
    }

    /// Hands out a result that is not about a lock, or is about one that has been in the way for a minute. Otherwise it
    /// rests and returns nothing: then the work has to be tried again.
    pub async fn retry<T, E: MayPass>(&mut self, result: Result<T, E>) -> Option<Result<T, E>> {
        let since = *self.since.get_or_insert_with(Instant::now);
        match &result {
            Err(error) if error.is_lock_timeout() && since.elapsed() < LONGEST => {}
            _ => {
                *self = Self::new(self.stop);
                return Some(result);
            }
        }
        let rested = tokio::time::sleep(self.pace.next());
        match self.stop.run_until_stopped(rested).await {
            Some(()) => None,
            None => Some(result),
        }
    }
}

/// Does work that takes locks, and does it again for a minute while another transaction has one of them. The work has
/// to be one transaction, or has to go on where it was interrupted.
///
/// # Errors
/// Those of the work, and that of the lock when the minute is over or it is time to stop.
pub async fn past_locks<T, E: MayPass>(
    stop: &Stop,
    mut work: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut passing = Passing::new(stop);
    loop {
        if let Some(result) = passing.retry(work().await).await {
            return result;
        }
    }
}

/// The same with work that is told how much to do, and is given less of it as long as it runs out of time.
///
/// # Errors
/// Those of the work, including that even the least of it takes too long.
pub async fn past_limits<T>(
    stop: &Stop,
    size: &Size,
    most: u32,
    mut work: impl AsyncFnMut(u32) -> Result<T, Error>,
) -> Result<T, Error> {
    loop {
        let tried = size.of(most);
        let result = past_locks(stop, async || size.note(work(tried).await)).await;
        match result {
            Err(error) if error.is_out_of_time() && tried > 1 && !stop.is_stopped() => {}
            result => return result,
        }
    }
}
