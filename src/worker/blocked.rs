//! A lock that another transaction has for a moment is no error; one that is held for longer is.

use std::time::{Duration, Instant};

use crate::connection::Error;

/// How long another daemon may keep a lock, one batch after the other.
const PASSING: Duration = Duration::from_secs(5);

/// Time-outs at one lock, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Blocked(Option<Instant>);

impl Blocked {
    /// A lock that another transaction has for a moment, such as another daemon's, is no error: then nothing is
    /// returned. One that is held for longer is an error.
    ///
    /// # Errors
    /// Every other error, and a time-out that follows others for too long.
    pub fn pass<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        self.pass_at(result, Instant::now())
    }

    fn pass_at<T>(&mut self, result: Result<T, Error>, now: Instant) -> Result<Option<T>, Error> {
        match result {
            Err(error) if error.is_lock_timeout() => {
                let since = *self.0.get_or_insert(now);
                if now.duration_since(since) < PASSING {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
            result => {
                self.0 = None;
                result.map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Failure;

    #[test]
    fn a_lock_is_an_error_only_where_it_is_held_for_long_without_a_break() {
        let lock = || Err::<(), _>(Error::Query(Failure::lock_timeout()));
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut blocked = Blocked::default();
        assert_eq!(blocked.pass_at(lock(), begun).unwrap(), None);
        assert_eq!(blocked.pass_at(lock(), after(4)).unwrap(), None);
        assert_eq!(blocked.pass_at(Ok(()), after(4)).unwrap(), Some(()));
        assert_eq!(blocked.pass_at(lock(), after(5)).unwrap(), None);
        assert!(blocked.pass_at(lock(), after(10)).is_err());
        assert!(blocked.pass_at(lock(), after(11)).is_err());
        assert!(
            blocked
                .pass_at(Err::<(), _>(Error::Closed), after(12))
                .is_err()
        );
        assert_eq!(blocked.pass_at(lock(), after(13)).unwrap(), None);
    }
}
