//! The daemon against a real PostgreSQL server. Each file is a room of our promises (P1 to P8).

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails to unwrap has failed, which is all that it has to say"
)]

mod age;
mod fails_closed;
mod password_change;
mod purge;
mod settling;
mod stage;
mod tls;
mod watch;
