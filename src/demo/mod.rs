//! `session-reaper demo`: a throw-away server, a site on it, and the story told on both.
//!
//! What it prints with a tick has been checked against the database, and what it prints as a number has been measured:
//! it succeeds only if what it showed really happened. On a terminal it then stays up for anyone who wants to try it.
//! However it ends, nothing is left behind.
//!
//! The throw-away server and the example site are no part of the daemon: they can be reached, though hidden from the
//! documentation, because the integration tests build on them, too.

mod daemon;
mod database;
mod error;
mod live;
mod measure;
mod narrator;
mod scene;
pub mod server;
pub mod site;
mod stage;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

pub use error::Error;

use crate::process::shutdown::{self, Stop};
use crate::settings::Environment;
use daemon::Daemon;
use error::check;
use narrator::Narrator;
use server::{Options, Server};
use stage::Stage;

/// Shows the demo on standard output. On a terminal it stays up afterwards until a signal comes.
///
/// # Errors
/// No PostgreSQL server on this machine; a signal before the end of the story; and, which would be a defect,
/// something that was shown did not happen.
pub async fn run(once: bool) -> Result<ExitCode, Error> {
    let stop = Stop::default();
    shutdown::heed_signals(stop.clone(), Arc::default()).map_err(Error::Signals)?;
    let stays = !once && std::io::stdout().is_terminal();
    play(
        &Narrator::on_stdout(&Environment::of_process()),
        stays,
        &stop,
    )
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn play(narrator: &Narrator, stays: bool, stop: &Stop) -> Result<(), Error> {
    narrator.heading("session-reaper, on a PostgreSQL server of its own");
    let server = Server::start(&Options::default())?;
    let dir = server.socket_dir().to_owned();
    let result = show(&server, narrator, stays, stop).await;
    drop(server);
    result?;
    check(!dir.exists(), || {
        format!("{} should be gone", dir.display())
    })?;
    narrator.say("\nAll of this happened. The server is gone, and nothing is left behind.");
    Ok(())
}

async fn show(server: &Server, narrator: &Narrator, stays: bool, stop: &Stop) -> Result<(), Error> {
    database::create(&server.url("postgres")).await?;
    let url = server.url(database::NAME);
    let mut stage = Stage::enter(&url, narrator.clone()).await?;
    stage.set().await?;
    let daemon = Daemon::start(&url, narrator).await?;
    let told = stop.run_until_stopped(tell(&mut stage, &url)).await;
    if stays && matches!(told, Some(Ok(()))) {
        // It comes back by itself only with an error.
        stop.run_until_stopped(live::watch(&stage, &url))
            .await
            .transpose()?;
    }
    // If the daemon has failed, that is why the story did.
    daemon.stop().await?;
    told.unwrap_or(Err(Error::Stopped))
}

async fn tell(stage: &mut Stage, url: &str) -> Result<(), Error> {
    let measured = scene::play(stage, url).await?;
    scene::sum_up(stage, &measured).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_demo_shows_really_happens() {
        let narrator = Narrator::on_stdout(&Environment::default());
        play(&narrator, false, &Stop::default()).await.unwrap();
    }
}
