//! Deletes expired sessions and old revocations, in batches, on a schedule.

mod batch;
mod pruning;
pub mod purger;
pub mod schedule;
pub mod scheduled;
