//! The daemon against a real PostgreSQL server. Grouped as `src/` is; `stage` is what every test stands on.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails to unwrap has failed, which is all that it has to say"
)]

mod canary;
mod codec;
mod command;
mod connection;
mod daemon;
mod docs;
mod doctor;
mod evict;
mod link;
mod monitor;
mod policies;
mod process;
mod purge;
mod revoke;
mod schema;
mod security;
mod site;
mod stage;
mod status;
