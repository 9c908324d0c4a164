//! `run`: the daemon.

use std::{process::ExitCode, sync::Arc};

use tokio::sync::Notify;

use super::{Arguments, Failure};
use crate::{
    connection::Target,
    daemon::Daemon,
    settings::{self, Environment, Settings},
    shutdown::{self, Stop},
};

pub async fn run(
    arguments: &Arguments,
    settings: Settings,
    target: Target,
) -> Result<ExitCode, Failure> {
    let stop = Stop::default();
    let reload = Arc::new(Notify::new());
    shutdown::heed_signals(stop.clone(), Arc::clone(&reload))?;
    let config = arguments.config.clone();
    let daemon = Daemon {
        settings,
        target,
        stop,
        reload,
        read_settings: Box::new(move || {
            settings::load(config.as_deref(), &Environment::of_process())
        }),
    };
    daemon.run().await?;
    Ok(ExitCode::SUCCESS)
}
