//! How much of something a stranger may cause: some at once, and then one at a time (P8).

use std::time::{Duration, Instant};

/// Fills up by one each time a while has passed.
#[derive(Debug)]
pub struct Allowance {
    most: u32,
    each: Duration,
    left: u32,
    since: Instant,
}

impl Allowance {
    /// So many at once, and one more each time this has passed.
    pub fn new(most: u32, each: Duration) -> Self {
        Self {
            most,
            each,
            left: most,
            since: Instant::now(),
        }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&mut self, now: Instant) -> bool {
        while self.left < self.most && now.duration_since(self.since) >= self.each {
            self.left += 1;
            self.since += self.each;
        }
        if self.left == self.most {
            self.since = now;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_may_come_at_once_and_then_one_at_a_time() {
        let mut allowance = Allowance::new(3, Duration::from_secs(10));
        let begun = allowance.since;
        let take = |allowance: &mut Allowance, s| allowance.take_at(begun + Duration::from_secs(s));
        let taken: Vec<bool> = [0, 0, 0, 0, 9, 10, 10, 19, 20, 1000, 1000, 1000, 1000]
            .into_iter()
            .map(|s| take(&mut allowance, s))
            .collect();
        let wanted = [
            true, true, true, false, false, true, false, false, true, true, true, true, false,
        ];
        assert_eq!(taken, wanted);
    }
}
