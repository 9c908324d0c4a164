//! Reports once what is wrong with session data.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// What has been reported. Clones are one.
#[derive(Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<BTreeSet<&'static str>>>);

impl Complaints {
    /// Reports once what cannot be read, and never shows it (P7). `status` has the counts.
    pub(super) fn tell(&self, reasons: &[&'static str]) {
        // A worker that panicked while it held this had changed nothing.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for reason in reasons {
            if told.insert(reason) {
                tracing::warn!(
                    reason,
                    "session data could not be read for its user, so a revocation may miss such sessions; see `session-reaper status` for how many"
                );
            }
        }
    }
}
