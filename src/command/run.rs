//! `run`: the daemon.

use std::{process::ExitCode, sync::Arc};

use tokio::sync::Notify;

use super::{Arguments, Failure};
use crate::{
    connection::Target,
    daemon::Daemon,
    settings::{self, Environment, Settings},
    shutdown::{self, Stop},
    supervisor,
};

pub async fn run(
    arguments: &Arguments,
    settings: Settings,
    target: Target,
) -> Result<ExitCode, Failure> {
    supervisor::check(&settings.listen, &Environment::of_process())
        .map_err(|error| Failure::Setting(error.into()))?;
    let stop = Stop::default();
    let reload = Arc::new(Notify::new());
    shutdown::heed_signals(stop.clone(), Arc::clone(&reload))?;
    let config = arguments.config.clone();
    let secret_keys =
        settings::secret_keys(&settings).map_err(|error| Failure::Setting(error.into()))?;
    let daemon = Daemon {
        settings,
        target,
        secret_keys: secret_keys.map(Arc::new),
        stop,
        reload,
        read_settings: Box::new(move || {
            let environment = Environment::of_process();
            let settings = settings::load(config.as_deref(), &environment)?;
            supervisor::check(&settings.listen, &environment)?;
            Ok(settings)
        }),
    };
    daemon.run().await?;
    Ok(ExitCode::SUCCESS)
}
