//! The command line: what each subcommand is given, what it prints, and how it ends.

mod arguments;
mod colour;
mod config;
mod doctor;
mod explain;
mod history;
mod link;
mod meter;
mod migrate;
mod pause;
mod policies;
mod purge;
mod rehearsal;
mod revoke;
mod run;
mod screen;
mod sessions;
mod status;
mod user;
mod watch;

use std::{process::ExitCode, time::Duration};

pub use arguments::Arguments;
use arguments::Command;

use crate::{
    connection::Target,
    process::{
        logging,
        service_manager::{self, watchdog},
    },
    settings::{self, Environment, Log, Settings},
};

/// Why a command ended without having done what it was asked.
enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Setting(anyhow::Error),
    /// Anything else: exit code 1.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Does what the arguments ask. Everything that can be wrong without a server is found before the runtime
/// starts, and every error is one sentence on standard error.
pub fn execute(arguments: &Arguments) -> ExitCode {
    match try_execute(arguments) {
        Ok(code) => code,
        Err(Failure::Setting(error)) => complain(arguments, &error, 2),
        Err(Failure::Other(error)) => complain(arguments, &error, 1),
    }
}

fn complain(arguments: &Arguments, error: &anyhow::Error, code: u8) -> ExitCode {
    let sentence = format!("{error:#}");
    logging::complain(&sentence);
    // A check for a reload is another process than the daemon, which goes on.
    if matches!(arguments.command, Command::Run { check: false }) {
        service_manager::failed(&sentence);
    }
    ExitCode::from(code)
}

fn try_execute(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let environment = Environment::of_process();
    let settings = read_settings(arguments, &environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Command::Demo(demo) = &arguments.command {
        return Ok(runtime.block_on(crate::demo::run(demo.once))?);
    }
    if let Command::Config { check, json } = &arguments.command {
        let path = arguments.settings_file();
        return match check {
            // They have been read.
            Some(file) => {
                println!("{} has no fault", file.display());
                Ok(ExitCode::SUCCESS)
            }
            None => config::config(path.as_deref(), &settings, &environment, *json),
        };
    }
    // A reload reads neither the connection string nor the keys again, and systemd does not hand credentials to the check
    // that goes before it.
    if matches!(arguments.command, Command::Run { check: true }) {
        return match watchdog::require_room(&settings.listen, &environment) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(Failure::Setting(error.into())),
        };
    }
    let target = Target::resolve(&settings.database, &environment)
        .map_err(|error| Failure::Setting(error.into()))?;
    runtime.block_on(dispatch(arguments, settings, target))
}

fn read_settings(arguments: &Arguments, environment: &Environment) -> Result<Settings, Failure> {
    let settings = settings::load(arguments.settings_file().as_deref(), environment)
        .map_err(|error| Failure::Setting(error.into()))?;
    logging::start(&log_of(arguments, &settings))
        .map_err(|sentence| Failure::Setting(anyhow::Error::msg(sentence)))?;
    Ok(settings)
}

/// A command other than `run` prints what it has to say; it logs only what goes wrong.
fn log_of(arguments: &Arguments, settings: &Settings) -> Log {
    let mut log = settings.log.clone();
    if !matches!(arguments.command, Command::Run { .. }) && log == Log::default() {
        log.level = "warn".to_owned();
    }
    log
}

async fn dispatch(
    arguments: &Arguments,
    settings: Settings,
    target: Target,
) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Migrate { print: true, .. } => migrate::print(&target, &settings).await,
        Command::Migrate { create_role, .. } => {
            migrate::migrate(&target, &settings, create_role.as_deref()).await
        }
        Command::Uninstall { dry_run: true, .. } => migrate::count_up(&target).await,
        Command::Uninstall { yes, .. } => migrate::uninstall(&target, &settings, *yes).await,
        Command::Run { .. } => run::run(arguments, settings, target).await,
        Command::Link(link) => link::link(link, settings, &target).await,
        Command::Purge(purge) => purge::purge(purge, settings, &target).await,
        Command::Policies(policies) => policies::policies(policies, settings, &target).await,
        Command::Revoke(revoke) => revoke::revoke(revoke, settings, &target).await,
        Command::Doctor(doctor) => doctor::doctor(doctor, &target, &settings).await,
        Command::Sessions(sessions) => sessions::sessions(sessions, &target, &settings).await,
        Command::History(history) => history::history(history, &target, &settings).await,
        Command::Explain(explain) => explain::explain(explain, &target, &settings).await,
        Command::Pause { json } => pause::pause(&target, &settings, *json).await,
        Command::Resume { json } => pause::resume(&target, &settings, *json).await,
        Command::Status(status) if status.watch => {
            watch::watch(Duration::from_secs(status.interval), &target, &settings).await
        }
        Command::Status(status) => status::status(status, &target, &settings).await,
        // Done before a database was looked for.
        Command::Demo(_) | Command::Config { .. } => Ok(ExitCode::SUCCESS),
    }
}
