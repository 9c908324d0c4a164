//! How often each worker of this daemon has failed. Counted here and not in the database, which may be what failed.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Counts them. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Failures(Family<[(&'static str, &'static str); 1], Counter>);

impl Failures {
    /// A worker that has not failed yet is listed with 0, or its first failure would be no increase.
    pub(super) fn list(&self, worker: &'static str) {
        self.of(worker);
    }

    /// It has failed once more.
    pub(super) fn count(&self, worker: &'static str) {
        self.of(worker).inc();
    }

    fn of(&self, worker: &'static str) -> Counter {
        self.0.get_or_create_owned(&[("worker", worker)])
    }

    /// Has a registry show them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "worker_failures",
            "Passes of this daemon's workers that failed, since it was started",
            self.0.clone(),
        );
    }
}
