//! The daemon against a real PostgreSQL server. Each file is a room of our promises (P1 to P8).

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails to unwrap has failed, which is all that it has to say"
)]

mod age;
mod bad_input;
mod beside;
mod binary;
mod cache_trouble;
mod cached;
mod caches;
mod codec;
mod crash;
mod dating;
mod doctor;
mod expiry;
mod express;
mod failover;
mod fails_closed;
mod handed_over;
mod hold;
mod hostile;
mod inspection;
mod json_path;
mod migrate;
mod outage;
mod password_change;
mod patroni;
mod pause;
mod poison;
mod pooler;
mod presets;
mod process;
mod proxy;
mod purge;
mod queue;
mod quiet;
mod reading;
mod readme;
mod rekeyed;
mod renamed;
mod replicas;
mod restored;
mod roles;
mod rolling;
mod secrecy;
mod settling;
mod shapes;
mod stage;
mod stale_hash;
mod tls;
mod watch;
