//! Whether revoking achieves anything. A daemon that hears of every change and can end no session does not serve.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Passes that have to fail in a row. One may fail because of a single revocation.
const MOST_FAILURES: u32 = 3;

/// Shared by the revoker, which notes how its passes go, and the listener, whose connection claims to serve (P4).
#[derive(Clone, Debug, Default)]
pub struct Fitness(Arc<AtomicU32>);

impl Fitness {
    /// A pass has ended something. One that found nothing to do proves nothing, and is not noted.
    pub fn succeeded(&self) {
        if self.0.swap(0, Ordering::Relaxed) >= MOST_FAILURES {
            tracing::info!("revoking works again");
        }
    }

    /// A pass had something to do and has done nothing.
    pub fn failed(&self) {
        if self.0.fetch_add(1, Ordering::Relaxed) + 1 == MOST_FAILURES {
            tracing::error!(
                passes = MOST_FAILURES,
                "revoking fails again and again, so this daemon does not count as serving until it works; changing transactions end what they can themselves"
            );
        }
    }

    /// Whether the last pass has failed.
    pub fn is_failing(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether the last passes have not all failed.
    pub fn is_fit(&self) -> bool {
        self.0.load(Ordering::Relaxed) < MOST_FAILURES
    }
}
