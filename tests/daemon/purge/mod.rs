//! Expired sessions go, and nothing else does.

mod expiry;
mod purging;
