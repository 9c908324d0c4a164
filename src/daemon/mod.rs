//! Puts the workers together and runs them until a signal comes.

mod clock;
mod crew;
mod inspector;
mod start;
#[cfg(test)]
mod unit;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{
    codec::django_hash::SecretKeys,
    connection::Target,
    monitor::{self, Door, Subject},
    process::{pulse::Pulse, service_manager::Supervisor, shutdown::Stop},
    schema,
    settings::Settings,
    worker::{InForce, bell::Bell, failures::Failures, trouble::Teller},
};
use crew::Crew;

/// The longest that a stop may take; a batch takes milliseconds. Below `TimeoutStopSec` of the unit.
const LONGEST_STOP: Duration = Duration::from_secs(20);

/// What the daemon is given.
pub struct Daemon {
    /// What the operator has set.
    pub settings: Settings,
    /// Where the database is.
    pub target: Target,
    /// Django's keys, where sessions are to be compared with their users' passwords.
    pub secret_keys: Option<Arc<SecretKeys>>,
    /// Where others ask how it is, if they may.
    pub door: Option<Door>,
    /// Ends the daemon.
    pub stop: Stop,
    /// Rung by SIGHUP.
    pub reload: Arc<Notify>,
    /// Reads the settings again.
    pub read_settings: Box<dyn Fn() -> Result<Settings, crate::settings::Error> + Send + Sync>,
}

impl Daemon {
    /// A daemon that is never reloaded.
    pub fn new(settings: Settings, target: Target, stop: Stop) -> Self {
        let same = settings.clone();
        let read_settings = Box::new(move || Ok(same.clone()));
        Self {
            settings,
            target,
            secret_keys: None,
            door: None,
            stop,
            reload: Arc::default(),
            read_settings,
        }
    }

    /// Waits for the server, checks what is installed, and works until it is time to stop.
    ///
    /// # Errors
    /// Only at the start: a wrong setting, a schema that this release does not know, a missing right. A
    /// server that is not there yet is waited for. Once it works, nothing but [`Stop`] ends it.
    pub async fn run(mut self) -> Result<(), schema::Error> {
        let supervisor = Supervisor::default();
        let failures = Failures::default();
        let (sender, in_force) = InForce::new(self.settings.clone());
        self.be_asked(&in_force, &supervisor, &failures);
        let Some(site) = self.wait_for_site(&supervisor).await? else {
            return Ok(());
        };
        let database = schema::database(&self.target, &site)?;
        let (teller, inspect) = (Teller::new(supervisor.clone(), failures), Bell::default());
        let crew = Crew {
            daemon: &self,
            database: &database,
            site: &site,
            settings: &in_force,
            supervisor: &supervisor,
            teller: &teller,
            inspect: &inspect,
        };
        let mut tasks = crew.start();
        tracing::info!(database = self.target.describe(), sessions = %site.sessions, users = %site.users, "started");
        loop {
            tokio::select! {
                biased; // At a stop the workers end, too, and that is no bug.
                () = self.stop.stopped() => break,
                () = self.reload.notified() => {
                    self.reload(&sender, &supervisor);
                    inspect.ring();
                }
                // A worker that ends by itself has met one of our bugs, and the others may wait for it in vain.
                Some(ended) = tasks.join_next(), if !self.stop.is_stopped() => {
                    tracing::error!(bug = ?ended.err(), "a worker has ended by itself, please report it; all workers start again");
                    tasks.shutdown().await;
                    self.stop.run_until_stopped(tokio::time::sleep(Duration::from_secs(1))).await;
                    tasks = crew.start();
                }
            }
        }
        supervisor.stopping();
        if timeout(LONGEST_STOP, async {
            while tasks.join_next().await.is_some() {}
        })
        .await
        .is_err()
        {
            tracing::warn!(
                waited_s = LONGEST_STOP.as_secs(),
                "stopping although a batch has not finished; it is rolled back and done again at the next start"
            );
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Answers before there is a database, too: operators then ask why there is none.
    fn be_asked(&mut self, settings: &InForce, supervisor: &Supervisor, failures: &Failures) {
        let Some(door) = self.door.take() else {
            return;
        };
        let pulse = Pulse::default();
        tokio::spawn(pulse.clone().beat(self.stop.clone()));
        let subject = Subject {
            target: self.target.clone(),
            settings: settings.clone(),
            supervisor: supervisor.clone(),
            pulse,
            failures: failures.clone(),
        };
        let metrics = &self.settings.metrics;
        if let Err(error) = monitor::start(door, metrics, subject, self.stop.clone()) {
            tracing::error!(%error, "metrics.listen is not answered; the daemon goes on");
        }
    }

    /// Settings of the database, the site and a few others stay as they were: they are wired into what is running.
    fn reload(&self, sender: &watch::Sender<Arc<Settings>>, supervisor: &Supervisor) {
        supervisor.reloading();
        let mut not_reloaded = None;
        match (self.read_settings)() {
            Ok(settings) => {
                if needs_restart(&self.settings, &settings) {
                    tracing::warn!(
                        "settings have changed that need a restart: [database], [site], [metrics], whether and in which table there is a [cache], link.secret_key_file or log.format"
                    );
                }
                crate::process::logging::set_level(&settings.log.level);
                sender.send_replace(Arc::new(settings));
                tracing::info!("settings reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "settings not reloaded; the old ones stay in force");
                not_reloaded = Some(error.to_string());
            }
        }
        supervisor.reloaded(not_reloaded);
    }
}

/// What is wired into what is running.
fn needs_restart(before: &Settings, after: &Settings) -> bool {
    before.database != after.database
        || before.site != after.site
        || before.metrics != after.metrics
        || before.link.secret_key_file != after.link.secret_key_file
        || before.log.format != after.log.format
}
