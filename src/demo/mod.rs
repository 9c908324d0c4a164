//! stub
use std::process::ExitCode;
/// stub
pub async fn run(_: &crate::command::Demo) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
