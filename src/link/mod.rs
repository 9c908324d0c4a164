//! Finds out whose each session is: from the queue of what was written, and from the table itself.

pub mod bulk;
pub(super) mod complaints;
pub mod linker;
pub(crate) mod pages;
pub(crate) mod queue;
pub(crate) mod rows;
pub(crate) mod stale_hashes;
mod waiting;
