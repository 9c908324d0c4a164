//! The real binary, as a service manager, a shell and an operator meet it: signals, exit codes, what it prints,
//! and what it must never print.

mod commands;
pub mod program;
mod revoking;
mod secrecy;
mod service_manager;
mod sessions;
mod signals;
