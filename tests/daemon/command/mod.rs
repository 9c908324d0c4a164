//! What an operator types, and what is answered.

mod bad_input;
mod commands;
mod history;
mod operating;
mod revoking;
mod sessions;
mod watching;
