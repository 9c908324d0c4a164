//! What the service manager is told: ready, alive, and how it is.
//!
//! The watchdog is fed by heartbeats that went through the database and came back, and by nothing else: a
//! daemon that runs but hears nothing is the failure that a watchdog is for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sd_notify::NotifyState;

use crate::{
    connection::Error,
    settings::{self, Environment, Listen},
};

/// Tells the service manager; without one, it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Arc<Mutex<Told>>);

/// Refuses a heartbeat that is too slow for the service manager's watchdog, which would restart the daemon again
/// and again. A heartbeat may take as long to come back as the next one is away, hence twice.
///
/// # Errors
/// Names the setting and the longest time that will do.
pub fn check(listen: &Listen, environment: &Environment) -> Result<(), settings::Error> {
    let own = std::process::id().to_string();
    // The variables are inherited by programs that are not watched themselves.
    if environment
        .get("WATCHDOG_PID")
        .is_some_and(|pid| pid != own)
    {
        return Ok(());
    }
    let watchdog_us = environment
        .get("WATCHDOG_USEC")
        .and_then(|text| text.parse::<u64>().ok());
    let Some(longest_s) = watchdog_us.map(|us| us / 2_000_000) else {
        return Ok(());
    };
    if listen.heartbeat_s <= longest_s {
        return Ok(());
    }
    Err(settings::Error::Invalid {
        name: "listen.heartbeat_s",
        rule: format!(
            "has to be at most half of WatchdogSec= of the unit, that is {longest_s}, and is {}: lower it or raise WatchdogSec=",
            listen.heartbeat_s
        ),
    })
}

/// What was said last, so that nothing is said twice.
#[derive(Debug, Default)]
struct Told {
    ready: bool,
    status: String,
    concern: Option<String>,
}

impl Supervisor {
    /// The daemon waits for its server.
    pub fn waiting(&self, error: &Error) {
        self.status(&format!("waiting for the database: {error}"));
    }

    /// The daemon waits for the end of a pause.
    pub fn paused(&self, sentence: &str) {
        self.status(sentence);
    }

    /// A heartbeat came back.
    pub fn alive(&self, round_trip: Duration, is_fit: bool) {
        let first = !std::mem::replace(&mut self.told().ready, true);
        if first {
            tell(&[NotifyState::Ready]);
        }
        tracing::debug!(
            round_trip_us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
            "heartbeat"
        );
        let status = match &self.told().concern {
            _ if !is_fit => "not serving: revoking fails, see the log".to_owned(),
            Some(concern) => format!("serving; {concern}"),
            None => "serving".to_owned(),
        };
        self.status(&status);
        tell(&[NotifyState::Watchdog]);
    }

    /// Something that the operator should know although the daemon serves; it is told with the next heartbeat.
    pub fn concerned(&self, concern: Option<String>) {
        self.told().concern = concern;
    }

    /// The listening connection is lost.
    pub fn lost(&self, error: &Error) {
        self.status(&format!("not listening: {error}"));
    }

    /// The settings are being read again. Nothing is said before it was ready, because what ends a reload is
    /// the word that means ready.
    pub fn reloading(&self) {
        if !self.told().ready {
            return;
        }
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// The settings have been read again.
    pub fn reloaded(&self) {
        if self.told().ready {
            tell(&[NotifyState::Ready]);
        }
    }

    /// The daemon stops.
    pub fn stopping(&self) {
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping after the batch in hand"),
        ]);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self, status: &str) {
        let mut told = self.told();
        if told.status != status {
            status.clone_into(&mut told.status);
            tell(&[NotifyState::Status(status)]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "could not reach the service manager");
    }
}
