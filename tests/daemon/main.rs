//! The daemon against a real PostgreSQL server. Each file is a room of our promises (P1 to P8).

mod age;
mod fails_closed;
mod password_change;
mod purge;
mod settling;
mod stage;
