//! Caches beside the session table forget what has ended (P5).

mod cache_trouble;
pub mod cached;
pub mod caches;
