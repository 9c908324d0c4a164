//! The real binary, as a service manager meets it: signals, exit codes, and what it must never print.

mod secrecy;
mod service_manager;
mod signals;
