//! `run`: the daemon.

use std::{process::ExitCode, sync::Arc};

use tokio::sync::Notify;

use super::{Arguments, Failure};
use crate::{
    connection::Target,
    daemon::Daemon,
    monitor::Door,
    process::{
        service_manager::watchdog,
        shutdown::{self, Stop},
    },
    settings::{self, Environment, Settings},
};

pub async fn run(
    arguments: &Arguments,
    settings: Settings,
    target: Target,
) -> Result<ExitCode, Failure> {
    watchdog::require_room(&settings.listen, &Environment::of_process())
        .map_err(|error| Failure::Setting(error.into()))?;
    // Other commands fail at once; this one would wait.
    target
        .require_given()
        .map_err(|error| Failure::Setting(error.into()))?;
    let secret_keys =
        settings::secret_keys(&settings).map_err(|error| Failure::Setting(error.into()))?;
    // A start is strict: an address at which no client could ask later is refused now.
    let listen_on = settings
        .metrics
        .listen_on()
        .map_err(|error| Failure::Setting(error.into()))?;
    let door = listen_on.as_ref().map(Door::open).transpose()?;
    let stop = Stop::default();
    let reload = Arc::new(Notify::new());
    shutdown::heed_signals(stop.clone(), Arc::clone(&reload))?;
    let config = arguments.settings_file();
    let daemon = Daemon {
        settings,
        target,
        secret_keys: secret_keys.map(Arc::new),
        door,
        stop,
        reload,
        read_settings: Box::new(move || {
            let environment = Environment::of_process();
            let settings = settings::load(config.as_deref(), &environment)?;
            watchdog::require_room(&settings.listen, &environment)?;
            Ok(settings)
        }),
    };
    daemon.run().await?;
    Ok(ExitCode::SUCCESS)
}
