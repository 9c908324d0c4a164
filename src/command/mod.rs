//! The command line: what each subcommand is given, what it prints, and how it ends.

mod arguments;
mod doctor;
mod link;
mod meter;
mod migrate;
mod pause;
mod purge;
mod revoke;
mod run;
mod sessions;
mod status;

use std::process::ExitCode;

use arguments::Command;
pub use arguments::{Arguments, Demo};

use crate::{
    connection::Target,
    logging,
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
        Err(Failure::Setting(error)) => complain(&error, 2),
        Err(Failure::Other(error)) => complain(&error, 1),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("session-reaper: {error:#}");
    ExitCode::from(code)
}

fn try_execute(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let environment = Environment::of_process();
    let settings = read_settings(arguments, &environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Command::Demo(demo) = &arguments.command {
        return Ok(runtime.block_on(crate::demo::run(demo))?);
    }
    let target = Target::resolve(&settings.database, &environment)
        .map_err(|error| Failure::Setting(error.into()))?;
    runtime.block_on(dispatch(arguments, settings, target))
}

fn read_settings(arguments: &Arguments, environment: &Environment) -> Result<Settings, Failure> {
    let settings = settings::load(arguments.config.as_deref(), environment)
        .map_err(|error| Failure::Setting(error.into()))?;
    logging::start(&log_of(arguments, &settings))
        .map_err(|sentence| Failure::Setting(anyhow::Error::msg(sentence)))?;
    Ok(settings)
}

/// What a command other than `run` has to say, it prints; it logs what goes wrong only.
fn log_of(arguments: &Arguments, settings: &Settings) -> Log {
    let mut log = settings.log.clone();
    if !matches!(arguments.command, Command::Run) && log == Log::default() {
        log.level = "warn".to_owned();
    }
    log
}

/// A name is a common mistake where a key is asked for.
fn no_user(user: &str) -> Failure {
    Failure::Other(anyhow::anyhow!(
        "there is no user {user}: give the key as it stands in the user table"
    ))
}

async fn dispatch(
    arguments: &Arguments,
    settings: Settings,
    target: Target,
) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Migrate => migrate::migrate(&target, &settings).await,
        Command::Uninstall { yes } => migrate::uninstall(&target, &settings, *yes).await,
        Command::Run => run::run(arguments, settings, target).await,
        Command::Link(link) => link::link(link, settings, &target).await,
        Command::Purge(purge) => purge::purge(purge, settings, &target).await,
        Command::Revoke(revoke) => revoke::revoke(revoke, settings, &target).await,
        Command::Doctor { json } => doctor::doctor(&target, &settings, *json).await,
        Command::Sessions { user, json } => {
            sessions::sessions(&target, &settings, user, *json).await
        }
        Command::Pause { json } => pause::pause(&target, &settings, *json).await,
        Command::Resume { json } => pause::resume(&target, &settings, *json).await,
        Command::Status(status) => status::status(status, &target, &settings).await,
        // Done before a database was looked for.
        Command::Demo(_) => Ok(ExitCode::SUCCESS),
    }
}
