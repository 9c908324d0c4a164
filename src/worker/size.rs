//! How much is done at once: what ran out of time is tried smaller, and after it has gone well for a while larger again.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::connection::Error;

/// So many passes go well before the next one does twice as much: one that is too large costs a whole time-out.
const PASSES_BEFORE_GROWING: u32 = 100;

/// The size of batches. Clones are one size.
#[derive(Clone, Debug, Default)]
pub struct Size(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    halvings: AtomicU32,
    went_well: AtomicU32,
}

impl Size {
    /// How much of "most" to do.
    pub fn of(&self, most: u32) -> u32 {
        let halvings = self.0.halvings.load(Ordering::Relaxed);
        most.checked_shr(halvings).unwrap_or(0).max(1)
    }

    /// Takes note of how a pass went, and hands its result on.
    pub fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Ok(_) => self.went_well(),
            Err(error) if error.is_out_of_time() => self.halve(),
            Err(_) => {}
        }
        result
    }

    /// So many of "most" were too many. If there were fewer than are done at once, it takes more than one step to do
    /// less.
    pub fn was_too_much(&self, most: u32, tried: usize) {
        while self.of(most) > 1 && self.of(most) as usize >= tried {
            self.halve();
        }
    }

    fn halve(&self) {
        // No setting allows more than 100,000.
        let halve = |halvings: u32| Some((halvings + 1).min(17));
        let halvings = &self.0.halvings;
        halvings
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, halve)
            .ok();
        self.0.went_well.store(0, Ordering::Relaxed);
    }

    fn went_well(&self) {
        let halvings = &self.0.halvings;
        if halvings.load(Ordering::Relaxed) == 0 {
            return;
        }
        if self.0.went_well.fetch_add(1, Ordering::Relaxed) + 1 >= PASSES_BEFORE_GROWING {
            self.0.went_well.store(0, Ordering::Relaxed);
            let double = |halvings: u32| halvings.checked_sub(1);
            halvings
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, double)
                .ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_of_time_is_tried_smaller_and_grows_again() {
        let size = Size::default();
        assert_eq!(size.of(1000), 1000);
        for smaller in [500, 250, 125] {
            size.halve();
            assert_eq!(size.of(1000), smaller);
        }
        for _ in 0..PASSES_BEFORE_GROWING {
            assert_eq!(size.of(1000), 125);
            size.note(Ok(())).unwrap();
        }
        assert_eq!(size.of(1000), 250);
        size.was_too_much(1000, 40);
        assert_eq!(size.of(1000), 31);
        size.was_too_much(1000, 40);
        assert_eq!(size.of(1000), 31);
        for _ in 0..100 {
            size.halve();
        }
        assert_eq!(size.of(100_000), 1);
    }
}
