//! The embedded default: a throw-away server, a site on it, and the story told on both.
//!
//! [`server`] is public because the integration tests stand on it, too.

pub mod server;
pub mod site;

use std::process::ExitCode;

/// Shows what the daemon does.
pub async fn run(_: &crate::command::Demo) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
