//! Where log lines go: to a person on a terminal, to the journal with its fields and levels, and as JSON to
//! whatever else reads standard error.

use std::{io::IsTerminal, sync::OnceLock};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::settings::{Log, LogFormat};

static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to log. Called once, before anything is logged.
///
/// # Errors
/// A level that is none.
pub fn start(settings: &Log) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(&settings.level)?);
    // Whoever comes second (a test in the same process) logs where the first one did.
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

/// Changes the level of a log that has begun; a level that is none is complained about.
pub fn set_level(level: &str) {
    match (filter(level), LEVEL.get()) {
        (Ok(filter), Some(handle)) => {
            let _ = handle.reload(filter);
        }
        (Err(error), _) => tracing::error!(error, "log level not changed"),
        (Ok(_), None) => {}
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    // The driver logs the text of statements at its debug level. Ours hold no keys, but they are noise.
    let quiet = "tokio_postgres=warn,rustls=warn,tokio_cron_scheduler=warn";
    EnvFilter::try_new(format!("{quiet},{level}")).map_err(|_| {
        format!("log.level is {level:?}, which is none: set error, warn, info, debug or trace")
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
        // systemd sets this where standard error is the journal.
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => {
            journal().unwrap_or_else(json)
        }
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
    let layer = tracing_journald::layer().ok()?;
    Some(
        layer
            .with_syslog_identifier("session-reaper".to_owned())
            .boxed(),
    )
}
