//! Bells, not work, travel between tasks: the task that notices something rings, and the worker that owns the table
//! looks. Any number of rings while the worker is busy lead to one look afterwards, so a burst costs nothing and two
//! passes never overlap.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};

/// A bell that one worker listens to and any task may ring.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Rings. Heard now or, by a worker that is busy, as soon as it has finished.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it has been rung since the last time, but no longer than `at_most`.
    pub async fn rung_within(&self, at_most: Duration) {
        let _ = timeout(at_most, self.0.notified()).await;
    }
}
