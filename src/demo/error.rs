//! Why the demo could not be shown, or was not true.

use super::server;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No throw-away server.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The throw-away server refused a statement.
    #[error("the demo's database refused a statement: {0}")]
    Database(String),
    /// The schema could not be installed.
    #[error("cannot install the schema into the demo's database: {0}")]
    Install(String),
    /// The daemon ended while the story was told.
    #[error("the daemon ended in the middle of the demo: {0}")]
    Daemon(String),
    /// No signal can be caught.
    #[error("cannot listen for signals: {0}; without them the demo could not clean up")]
    Signals(std::io::Error),
    /// A scene's claim did not hold: this is a defect of session-reaper.
    #[error(
        "not all of what was shown is true: {0}; this is a defect of session-reaper, please report it"
    )]
    Untrue(String),
    /// The demo was asked to stop.
    #[error("stopped before the end of the demo, so it has shown nothing")]
    Stopped,
}

// The statements of the demo quote no key, so the server's own words may be shown.
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(match error.as_db_error() {
            Some(refusal) => refusal.message().to_owned(),
            None => error.to_string(),
        })
    }
}

/// Fails with the claim if it is not true.
pub fn check(is_true: bool, claim: impl FnOnce() -> String) -> Result<(), Error> {
    if is_true {
        Ok(())
    } else {
        Err(Error::Untrue(claim()))
    }
}
