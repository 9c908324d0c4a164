//! What monitors are told. That every metric has a test that plants its cause, `docs::monitoring` holds.

mod cached;
mod installation;
mod linking;
mod open;
mod purged;
mod reasons;
mod stuck;
mod totals;
mod trouble;
mod unreadable;
