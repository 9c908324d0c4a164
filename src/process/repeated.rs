//! A log line that comes again and again, at a rate that is not ours to set: it is written at once, and then less and
//! less often, each time with how often it would have been written. No app or client can fill the disk with it (P8).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long nothing is written after the first line.
const FIRST_SILENCE: Duration = Duration::from_secs(1);

/// The silence doubles up to this.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// Counts what is not written. Clones share one count.
#[derive(Clone, Debug, Default)]
pub struct Repeated(Arc<Mutex<Count>>);

#[derive(Debug, Default)]
struct Count {
    /// The reason that was written last, for a line whose reason can change.
    reason: String,
    unsaid: u64,
    /// Until when nothing is written, and for how long that is.
    silence: Option<(Instant, Duration)>,
}

impl Repeated {
    /// One more. Returns how many have come since the last line, where it is time for the next one.
    pub fn count(&self) -> Option<u64> {
        self.count_of("")
    }

    /// The same for a line whose reason may change; a new reason is written at once. The caller rests between two of
    /// them, since reasons that take turns are all written.
    pub fn count_of(&self, reason: &str) -> Option<u64> {
        self.lock().one_more(reason, Instant::now())
    }

    /// Returns what the end of a flood has left unwritten; to be called now and then.
    pub fn left_over(&self) -> Option<u64> {
        let mut count = self.lock();
        if count.unsaid == 0 {
            return None;
        }
        count.say(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        // A worker that panicked while it held this has left a count that is off by one at most.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn one_more(&mut self, reason: &str, now: Instant) -> Option<u64> {
        if self.reason != reason {
            *self = Self {
                reason: reason.to_owned(),
                ..Self::default()
            };
        }
        self.unsaid += 1;
        self.say(now)
    }

    fn say(&mut self, now: Instant) -> Option<u64> {
        let silence = match self.silence {
            Some((until, _)) if now < until => return None,
            // It has been quiet for longer than it had to be: this is another flood.
            Some((until, silence)) if now > until + LONGEST_SILENCE.max(silence) => FIRST_SILENCE,
            Some((_, silence)) => (silence * 2).min(LONGEST_SILENCE),
            None => FIRST_SILENCE,
        };
        self.silence = Some((now + silence, silence));
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_lines_in_ten_minutes_are_ten() {
        let (mut count, begun) = (Count::default(), Instant::now());
        let said: Vec<u64> = (0..1_000_000)
            .filter_map(|n| count.one_more("", begun + Duration::from_micros(600 * n)))
            .collect();
        assert_eq!(said.len(), 10);
        assert_eq!(said[0], 1);
        assert_eq!(said.iter().sum::<u64>() + count.unsaid, 1_000_000);
    }

    #[test]
    fn another_reason_is_said_at_once_and_so_is_what_comes_back_later() {
        let (mut count, now) = (Count::default(), Instant::now());
        assert_eq!(count.one_more("one", now), Some(1));
        assert_eq!(count.one_more("one", now), None);
        assert_eq!(count.one_more("other", now), Some(1));
        let later = now + Duration::from_secs(3600);
        assert_eq!(count.one_more("other", later), Some(1));
        let soon = later + FIRST_SILENCE;
        assert_eq!(count.one_more("other", soon), Some(1));
    }

    #[test]
    fn the_end_of_a_flood_is_said_when_it_is_time() {
        let repeated = Repeated::default();
        assert_eq!(repeated.left_over(), None);
        assert_eq!(repeated.count(), Some(1));
        assert_eq!(repeated.count(), None);
        assert_eq!(repeated.left_over(), None);
        let over = Instant::now() - Duration::from_secs(1);
        repeated.lock().silence = Some((over, FIRST_SILENCE));
        assert_eq!(repeated.left_over(), Some(1));
        assert_eq!(repeated.left_over(), None);
    }
}
