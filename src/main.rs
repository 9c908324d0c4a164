//! The command `session-reaper`; see the library for everything else.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    session_reaper::command::execute(&session_reaper::command::Arguments::parse())
}
