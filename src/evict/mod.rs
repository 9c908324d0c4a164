//! Makes caches forget the sessions that have ended (P5): what is still to be evicted, and the worker that evicts it.

pub mod evictor;
pub(crate) mod pending;
