//! What a pass of the revoker did, and whether there is more to do.

use std::time::Duration;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Revocations that were swept for the first time.
    pub revocations: usize,
    /// Revocations that failed and wait.
    pub postponed: usize,
    /// Pages of everybody's links that were swept; none while a paced one rests.
    pub pages: usize,
    /// Sessions that were deleted.
    pub sessions: i64,
    /// Whether there is more to do.
    pub more: More,
    /// How long further work has to wait, at least.
    pub rest: Duration,
}

impl Report {
    pub(super) fn add(&mut self, other: Self) {
        self.revocations += other.revocations;
        self.postponed += other.postponed;
        self.sessions += other.sessions;
        if other.more == More::Now {
            self.more = More::Now;
        }
    }

    /// Whether anything came of it.
    pub(super) fn is_progress(&self) -> bool {
        self.revocations > 0 || self.sessions > 0 || self.pages > 0
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// At once.
    Now,
    /// After a rest.
    Paced,
    /// None that we know of.
    #[default]
    No,
}
