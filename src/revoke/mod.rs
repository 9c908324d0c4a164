//! Ends a user's sessions after a change: hears of it, deletes them, and settles once none can come back (P1).

mod allowance;
pub(crate) mod channel;
mod grace;
pub(crate) mod horizon;
mod last_sweep;
pub mod listener;
pub mod requester;
pub mod revoker;
pub mod settler;
pub(crate) mod table;
