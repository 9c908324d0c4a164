//! Waits for a database that a daemon can work with, and checks whether it is one.

use std::time::Duration;

use tokio::time::timeout;

use super::Daemon;
use crate::{
    connection,
    process::{repeated::Repeated, service_manager::Supervisor},
    schema::{self, Site},
    worker::backoff::Backoff,
};

/// How long the service manager hears nothing while the database is asked. Far below `TimeoutStartSec` and
/// `WatchdogSec` of the unit: an address that swallows everything is noticed only after `database.connect_timeout_s`.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

impl Daemon {
    /// A server that is not there yet, after a boot or during its restart, is waited for: a crash loop would only hide
    /// what is going on. Returns nothing if it is time to stop first.
    pub(super) async fn wait_for_site(
        &self,
        supervisor: &Supervisor,
    ) -> Result<Option<Site>, schema::Error> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let complaints = Repeated::default();
        let mut paused = false;
        loop {
            let looking = telling(supervisor, self.look_at_site());
            let looked = self.stop.run_until_stopped(looking).await;
            let error = match looked {
                None => return Ok(None),
                Some(Err(schema::Error::Connection(error)))
                    if error.is_not_there_yet() || error.is_blocked() =>
                {
                    error
                }
                Some(Err(pause @ schema::Error::Paused { .. })) => {
                    self.wait_for_resume(supervisor, &pause, &mut paused).await;
                    continue;
                }
                Some(result) => return result.map(Some),
            };
            let rest = backoff.next();
            supervisor.waiting(&error);
            if let Some(times) = complaints.count_of(&error.to_string()) {
                tracing::warn!(%error, times, retry_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX), "waiting for the database");
            }
            self.stop.run_until_stopped(tokio::time::sleep(rest)).await;
        }
    }

    /// While the site migrates there is nothing to start with: its tables may be missing. Reported once.
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
            schema::adopt_ids(&client).await?;
            Ok(site)
        };
        let site = timeout(self.target.longest_transaction(), look).await;
        // Not a goodbye, which may never be answered either.
        driver.abort();
        site.unwrap_or_else(|_| Err(connection::Error::unanswered().into()))
    }
}

/// Lets the service manager know that the daemon is alive while it waits for an answer.
async fn telling<T>(supervisor: &Supervisor, looking: impl Future<Output = T>) -> T {
    let mut looking = std::pin::pin!(looking);
    loop {
        match timeout(LONGEST_SILENCE, &mut looking).await {
            Ok(looked) => return looked,
            Err(_) => supervisor.unanswered(),
        }
    }
}
