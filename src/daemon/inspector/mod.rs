//! Checks again and again whether what was checked at the start still holds: one of the site's migrations may silently
//! take our triggers and foreign keys along, and then nothing would ever end a session (P3).
//!
//! It reports that loudly and ends nothing. It mends nothing either, because that takes an owner's rights, which a
//! daemon has no business having. While the site migrates on purpose (`session-reaper pause`), it reports that once. It
//! also writes down for `status` that a reload has failed.

use std::time::{Duration, Instant};

use crate::{
    connection::{Database, Error},
    process::service_manager::Supervisor,
    schema::{self, Pause},
    settings::Site,
    worker::{InForce, Worker, trouble::Trouble},
};

/// How long a fault that lasts is not mentioned again.
const SILENCE: Duration = Duration::from_secs(600);

/// Inspects; see the module.
pub struct Inspector {
    database: Database,
    site: Site,
    settings: InForce,
    supervisor: Supervisor,
    reload: Trouble,
    inspected_at: Option<Instant>,
    pause: Option<Pause>,
    told: Option<Told>,
}

/// What was reported of a fault, and when.
struct Told {
    faults: Vec<String>,
    at: Instant,
}

impl Worker for Inspector {
    const NAME: &'static str = "inspector";
    const TASK: &'static str = "inspect the site";

    /// Looks for a pause as often as the others poll, and at everything else less often.
    async fn run_once(&mut self) -> Result<Duration, Error> {
        let poll = Duration::from_secs(self.settings.now().listen.poll_interval_s);
        let every = Duration::from_secs(self.site.check_interval_s);
        let is_due = self.inspected_at.is_none_or(|at| at.elapsed() >= every);
        let (pause, faults) = self.look(is_due).await?;
        let resumed = self.pause.is_some() && pause.is_none();
        self.tell_pause(pause);
        if let Some(faults) = faults {
            self.inspected_at = Some(Instant::now());
            self.tell_faults(faults, Instant::now());
        }
        self.tell_supervisor();
        let failing_for = self.supervisor.not_reloaded_for();
        self.reload.lasts(&self.database, failing_for).await;
        // What resume has left has to be looked at now.
        Ok(if resumed && !is_due {
            self.inspected_at = None;
            Duration::ZERO
        } else {
            poll.min(every)
        })
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Inspector {
    /// An inspector of the site that the daemon was started for.
    pub fn new(
        database: Database,
        site: Site,
        settings: InForce,
        supervisor: Supervisor,
        reload: Trouble,
    ) -> Self {
        Self {
            database,
            site,
            settings,
            supervisor,
            reload,
            inspected_at: None,
            pause: None,
            told: None,
        }
    }

    /// The pause that is on, and, where it is time and no pause explains them, the faults.
    async fn look(&self, is_due: bool) -> Result<(Option<Pause>, Option<Vec<String>>), Error> {
        self.database
            .work(async |client| {
                let pause = schema::current_pause(&**client).await?;
                if !is_due || pause.is_some() {
                    return Ok((pause, None));
                }
                let mut faults = schema::faults(&client, &self.site).await?;
                // Where nothing is installed any more, there is nothing to have rights on.
                if !matches!(faults[..], [schema::Error::NotInstalled]) {
                    faults.extend(schema::missing_rights(&client, None, &self.site).await?);
                }
                let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                // Where this role is the one that was named at the installation, it has been checked twice.
                faults.dedup();
                // A pause that began meanwhile explains them.
                match schema::current_pause(&**client).await? {
                    Some(pause) => Ok((Some(pause), None)),
                    None => Ok((None, Some(faults))),
                }
            })
            .await
    }

    fn tell_pause(&mut self, pause: Option<Pause>) {
        match (&self.pause, &pause) {
            (None, Some(Pause { since, by, .. })) => tracing::info!(
                since,
                by,
                "paused: changes are noted, and nothing is ended or purged until `session-reaper resume`"
            ),
            (Some(_), None) => tracing::info!("resumed"),
            _ => {}
        }
        self.pause = pause;
    }

    /// Loudly when a fault begins, when it becomes another one, and now and then while it lasts.
    fn tell_faults(&mut self, faults: Vec<String>, now: Instant) {
        let Some(fault) = faults.first() else {
            if self.told.take().is_some() {
                tracing::info!("what session-reaper needs on the site's tables is in place again");
            }
            return;
        };
        if let Some(told) = &self.told
            && told.faults == faults
            && now.duration_since(told.at) < SILENCE
        {
            return;
        }
        let others = faults.len() - 1;
        tracing::error!(fault, others, "sessions may not end as they should");
        self.told = Some(Told { faults, at: now });
    }

    fn tell_supervisor(&self) {
        let concern = match (&self.pause, &self.told) {
            (Some(Pause { since, by, .. }), _) => Some(format!("paused since {since} by {by}")),
            (None, Some(told)) => told.faults.first().cloned(),
            (None, None) => None,
        };
        self.supervisor.concerned(concern);
    }
}

#[cfg(test)]
mod tests;
