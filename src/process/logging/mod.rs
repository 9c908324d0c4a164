//! Where log lines go: to a person on a terminal, to the journal with its fields and levels, and as JSON to
//! whatever else reads standard error.

mod journal;
mod line;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::IsTerminal,
    os::{fd::AsFd, linux::fs::MetadataExt},
    sync::OnceLock,
};

use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::settings::{Log, LogFormat};

static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Begins to log. Called once, before anything is logged.
///
/// # Errors
/// An invalid level.
pub fn start(settings: &Log) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(&settings.level)?);
    // A second caller (a test in the same process) logs where the first one did.
    if tracing_subscriber::registry()
        .with(filter)
        .with(layer(settings.format))
        .try_init()
        .is_ok()
    {
        let _ = LEVEL.set(handle);
    }
    Ok(())
}

/// Changes the level of a log that has begun; an invalid level is complained about.
pub fn set_level(level: &str) {
    match (filter(level), LEVEL.get()) {
        (Ok(filter), Some(handle)) => {
            let _ = handle.reload(filter);
        }
        (Err(error), _) => tracing::error!(error, "log level not changed"),
        (Ok(_), None) => {}
    }
}

fn filter(level: &str) -> Result<Targets, String> {
    // The driver logs the text of statements at its debug level. Ours hold no keys, but they are noise. The database warns of
    // every connection that it did not get, in words that are not ours; the caller that wanted the connection reports it.
    let quiet = "tokio_postgres=warn,rustls=warn,tokio_cron_scheduler=warn,deadpool=error";
    format!("{quiet},{level}").parse().map_err(|_| {
        format!(
            "log.level is {level:?}, which is not a level: set error, warn, info, debug or trace"
        )
    })
}

type AnyLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn layer<S>(format: LogFormat) -> AnyLayer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    match format {
        LogFormat::Text => text(),
        LogFormat::Json => json(),
        LogFormat::Journal => journal().unwrap_or_else(json),
        LogFormat::Auto if std::io::stderr().is_terminal() => text(),
        LogFormat::Auto if is_journal() => journal().unwrap_or_else(json),
        LogFormat::Auto => json(),
    }
}

fn text<S>() -> AnyLayer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .boxed()
}

fn json<S>() -> AnyLayer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr)
        .boxed()
}

fn journal<S>() -> Option<AnyLayer<S>>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    Some(journal::Journal::open()?.boxed())
}

/// Reports why a command has failed, as one sentence. In the journal it is an error: without the number in front,
/// systemd would file what is written to standard error under "info".
pub fn complain(sentence: &str) {
    let priority = if is_journal() { "<3>" } else { "" };
    eprintln!("{priority}session-reaper: {sentence}");
}

/// Whether standard error is the journal. systemd tells which file that is, because the variable is inherited by
/// programs whose standard error is another one.
fn is_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    let own = std::io::stderr().as_fd().try_clone_to_owned();
    let own = own.and_then(|descriptor| File::from(descriptor).metadata());
    own.is_ok_and(|file| stream == format!("{}:{}", file.st_dev(), file.st_ino()))
}
