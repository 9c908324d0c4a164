//! What the service manager is told: ready, alive, and how it is.
//!
//! Ready means that the daemon runs, and the status line tells whether it serves: a database that is down at boot keeps
//! neither the boot nor `systemctl start` waiting. Where the database answers, ready comes with the first heartbeat.
//!
//! From then on, the watchdog is fed by heartbeats that went through the database and came back, and by nothing else: a
//! daemon that runs but hears nothing is the failure that a watchdog is for. Before, it is fed while the daemon waits:
//! another start would find no other database.

mod told;
pub mod watchdog;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use sd_notify::NotifyState;

use super::fitness::Fitness;
use crate::connection::Error;
use told::Told;

/// Tells the service manager; without one, it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Arc<Mutex<Told>>);

/// The result of the last reload.
#[derive(Clone, Copy, Debug)]
pub struct Reload {
    /// When it was; none if there was none.
    pub at: Option<SystemTime>,
    /// Whether the settings of the file are in force.
    pub is_in_force: bool,
}

impl Supervisor {
    /// The daemon waits for its server.
    pub fn waiting(&self, error: &Error) {
        self.waits(&format!("waiting for the database: {error}"));
    }

    /// The daemon has asked its server, and waits for the answer.
    pub fn unanswered(&self) {
        let status = self.told().status.clone();
        self.waits(if status.is_empty() {
            "waiting for the database to answer"
        } else {
            &status
        });
    }

    /// The daemon waits for the end of a pause.
    pub fn paused(&self, sentence: &str) {
        self.waits(sentence);
    }

    /// A heartbeat came back.
    pub fn alive(&self, round_trip: Duration, fitness: &Fitness) {
        self.ready();
        {
            let mut told = self.told();
            (told.alive_at, told.lost, told.unfit) =
                (Some(Instant::now()), false, !fitness.is_fit());
        }
        tracing::debug!(
            round_trip_us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
            "heartbeat"
        );
        let status = self.told().describe(fitness);
        self.status(&status);
        tell(&[NotifyState::Watchdog]);
    }

    /// Something that the operator should know although the daemon serves; it is reported with the next heartbeat.
    pub fn concerned(&self, concern: Option<String>) {
        self.told().concern = concern;
    }

    /// What a worker keeps failing at; nothing if that is over.
    pub fn troubled(&self, worker: &'static str, trouble: Option<String>) {
        let troubles = &mut self.told().troubles;
        match trouble {
            Some(trouble) => troubles.insert(worker, trouble),
            None => troubles.remove(worker),
        };
    }

    /// The listening connection is lost.
    pub fn lost(&self, error: &Error) {
        self.told().lost = true;
        let status = format!("not listening: {error}");
        if self.told().alive_at.is_some() {
            self.status(&status);
        } else {
            self.waits(&status);
        }
    }

    /// Whether the listening connection is lost, so that the operator knows already.
    pub fn is_lost(&self) -> bool {
        self.told().lost
    }

    /// Before the first heartbeat there is nothing better to report, in this start or in another one.
    fn waits(&self, status: &str) {
        self.status(status);
        self.ready();
        tell(&[NotifyState::Watchdog]);
    }

    fn ready(&self) {
        if !std::mem::replace(&mut self.told().ready, true) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// The settings are being read again. Nothing is reported before the daemon was ready, because the word that ends a
    /// reload is the one that means ready.
    pub fn reloading(&self) {
        if !self.told().ready {
            return;
        }
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// The settings have been read again, or have not, and why: that is reported with the heartbeats until a reload
    /// succeeds.
    pub fn reloaded(&self, not_reloaded: Option<String>) {
        {
            let mut told = self.told();
            told.not_reloaded = not_reloaded.map(|why| (Instant::now(), why));
            told.reloaded_at = Some(SystemTime::now());
        }
        if self.told().ready {
            tell(&[NotifyState::Ready]);
        }
    }

    /// For how long settings have been in force that a reload should have replaced.
    pub fn not_reloaded_for(&self) -> Option<Duration> {
        let told = self.told();
        told.not_reloaded.as_ref().map(|(since, _)| since.elapsed())
    }

    /// The result of the last reload.
    pub fn last_reload(&self) -> Reload {
        let told = self.told();
        Reload {
            at: told.reloaded_at,
            is_in_force: told.not_reloaded.is_none(),
        }
    }

    /// Whether this daemon serves, and how it is, in words. A heartbeat that is longer ago than this does not count.
    pub fn is_serving(&self, longest: Duration) -> (bool, String) {
        self.told().is_serving(longest)
    }

    /// The daemon stops.
    pub fn stopping(&self) {
        {
            let mut told = self.told();
            told.unfit = true;
            told.status = "stopping after the current batch".to_owned();
        }
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping after the current batch"),
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

/// Leaves behind why the daemon could not start or go on, where `systemctl status` shows it until the next start.
pub fn failed(sentence: &str) {
    tell(&[NotifyState::Status(sentence)]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "could not reach the service manager");
    }
}
