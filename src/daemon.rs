//! Puts the workers together and runs them until a signal comes.

mod crew;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{
    backoff::Backoff,
    codec::django_hash::SecretKeys,
    connection::{self, Target},
    schema::{self, Site},
    settings::Settings,
    shutdown::Stop,
    supervisor::Supervisor,
    worker::InForce,
};
use crew::Crew;

/// The longest that a stop may take; a batch takes milliseconds. Below `TimeoutStopSec` of the unit.
pub(crate) const LONGEST_STOP: Duration = Duration::from_secs(20);

/// What the daemon is given.
pub struct Daemon {
    /// What the operator has set.
    pub settings: Settings,
    /// Where the database is.
    pub target: Target,
    /// Django's keys, where sessions are to be compared with their users' passwords.
    pub secret_keys: Option<Arc<SecretKeys>>,
    /// Ends the daemon.
    pub stop: Stop,
    /// Rung by SIGHUP.
    pub reload: Arc<Notify>,
    /// Reads the settings again.
    pub read_settings: Box<dyn Fn() -> Result<Settings, crate::settings::Error> + Send + Sync>,
}

impl Daemon {
    /// A daemon that nobody reloads.
    pub fn new(settings: Settings, target: Target, stop: Stop) -> Self {
        let same = settings.clone();
        let read_settings = Box::new(move || Ok(same.clone()));
        Self {
            settings,
            target,
            secret_keys: None,
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
    pub async fn run(self) -> Result<(), schema::Error> {
        let supervisor = Supervisor::default();
        let Some(site) = self.wait_for_site(&supervisor).await? else {
            return Ok(());
        };
        let pool = self.target.pool()?;
        let (sender, in_force) = InForce::new(self.settings.clone());
        let crew = Crew {
            daemon: &self,
            pool: &pool,
            site: &site,
            settings: &in_force,
            supervisor: &supervisor,
        };
        let mut tasks = crew.start();
        tracing::info!(database = self.target.describe(), sessions = %site.sessions, users = %site.users, "started");
        loop {
            tokio::select! {
                biased; // At a stop the workers end, too, and that is no bug.
                () = self.stop.stopped() => break,
                () = self.reload.notified() => self.reload(&sender, &supervisor),
                // One that ends by itself has met a bug of ours, and the others may wait for it in vain.
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

    /// A server that is not there yet, after a boot or during its restart, is waited for: a crash loop would
    /// only hide what is going on. Nothing comes back if it is time to stop first.
    async fn wait_for_site(&self, supervisor: &Supervisor) -> Result<Option<Site>, schema::Error> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let mut paused = false;
        loop {
            let looked = self.stop.run_until_stopped(self.look_at_site()).await;
            let error = match looked {
                None => return Ok(None),
                Some(Err(schema::Error::Connection(error))) if error.is_not_there_yet() => error,
                Some(Err(pause @ schema::Error::Paused { .. })) => {
                    self.wait_for_resume(supervisor, &pause, &mut paused).await;
                    continue;
                }
                Some(result) => return result.map(Some),
            };
            let rest = backoff.next();
            supervisor.waiting(&error);
            tracing::warn!(%error, retry_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX), "waiting for the database");
            self.stop.run_until_stopped(tokio::time::sleep(rest)).await;
        }
    }

    /// While the site migrates there is nothing to start with: its tables may be missing. Said once.
    async fn wait_for_resume(
        &self,
        supervisor: &Supervisor,
        pause: &schema::Error,
        said: &mut bool,
    ) {
        if !std::mem::replace(said, true) {
            supervisor.paused(&pause.to_string());
            tracing::info!("{pause}; starting as soon as that is done");
        }
        let poll = Duration::from_secs(self.settings.listen.poll_interval_s);
        self.stop.run_until_stopped(tokio::time::sleep(poll)).await;
    }

    async fn look_at_site(&self) -> Result<Site, schema::Error> {
        let (client, connection) = self.target.connect().await?;
        let driver = tokio::spawn(connection);
        let look = async {
            let site = schema::check(&client, &self.settings.site).await?;
            schema::check_expiry(&client, &site).await?;
            Ok(site)
        };
        let site = timeout(self.target.longest_transaction(), look).await;
        // Not a goodbye, which may never be answered either.
        driver.abort();
        site.unwrap_or_else(|_| Err(connection::Error::unanswered().into()))
    }

    /// Settings of the database, the site and a few others stay as they were: they are wired into what is running.
    fn reload(&self, sender: &watch::Sender<Arc<Settings>>, supervisor: &Supervisor) {
        supervisor.reloading();
        match (self.read_settings)() {
            Ok(settings) => {
                if needs_restart(&self.settings, &settings) {
                    tracing::warn!(
                        "settings have changed that need a restart: [database], [site], whether and in which table there is a [cache], link.secret_key_file or log.format"
                    );
                }
                crate::logging::set_level(&settings.log.level);
                sender.send_replace(Arc::new(settings));
                tracing::info!("settings reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "settings not reloaded; the old ones stay in force")
            }
        }
        supervisor.reloaded();
    }
}

/// What is wired into what is running.
fn needs_restart(before: &Settings, after: &Settings) -> bool {
    before.database != after.database
        || before.site != after.site
        || before.link.secret_key_file != after.link.secret_key_file
        || before.log.format != after.log.format
}
