//! Deletes expired sessions and old revocations, in batches, on a schedule.

mod batch;
pub mod purger;
pub mod schedule;
