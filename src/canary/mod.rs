//! Makes the daemon's own revocation now and then, which goes the same way as all others. It shows whether a revocation
//! would work now, and how long it would take.
//!
//! ```text
//!  begin: a session of the named user     ask: its end, as a changed password does      look, until it is settled
//!  -------- one transaction -------->  ----------- another one ----------->  revoker, evictor, settler do the rest
//! ```
//!
//! What it does is in `sql/canary.sql`. Daemons take turns by a row. No connection is held while a run is waited for,
//! so that no other worker has to wait for one.

mod run;

use std::time::Duration;

use crate::{
    connection::{Database, Error},
    process::repeated::Repeated,
    settings,
    worker::{InForce, Worker, backoff::Backoff},
};
use run::{Begun, Outcome};

/// Drives the canary; see the module.
pub struct Canary {
    database: Database,
    settings: InForce,
    /// How often a run is looked at: a quick one often, so that it is timed well. None while there is no run.
    pace: Option<Backoff>,
    /// Whether nothing can be left of a canary that is switched off.
    is_tidy: bool,
    complaints: Repeated,
    /// Whether the log says that it fails.
    is_failing: bool,
}

impl Worker for Canary {
    const NAME: &'static str = "canary";
    const TASK: &'static str = "run the canary";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        let poll = Duration::from_secs(settings.listen.poll_interval_s);
        if settings.canary.interval_s == 0 {
            self.tidy_up().await?;
            return Ok(poll);
        }
        self.is_tidy = false;
        match self.pace.take() {
            Some(pace) => self.look(pace, &settings.canary).await,
            None => self.begin(&settings.canary, poll).await,
        }
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Canary {
    /// One that has not run yet.
    pub fn new(database: Database, settings: InForce) -> Self {
        Self {
            database,
            settings,
            pace: None,
            is_tidy: false,
            complaints: Repeated::default(),
            is_failing: false,
        }
    }

    /// A run that had begun when the canary was switched off is of no further interest.
    async fn tidy_up(&mut self) -> Result<(), Error> {
        if !self.is_tidy {
            self.pace = None;
            run::switch_off(&self.database).await?;
            self.is_tidy = true;
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        settings: &settings::Canary,
        poll: Duration,
    ) -> Result<Duration, Error> {
        match run::begin(&self.database, settings).await? {
            Begun::Now => {}
            // A reload may change the interval meanwhile.
            Begun::NotYet(rest) => return Ok(rest.min(poll)),
            Begun::No => return Ok(poll),
            Begun::Failed => return self.tell_failure().await,
        }
        if !run::ask(&self.database).await? {
            return self.tell_failure().await;
        }
        let mut pace = Backoff::new(Duration::from_millis(4), Duration::from_secs(1));
        let rest = pace.next();
        self.pace = Some(pace);
        Ok(rest)
    }

    async fn look(
        &mut self,
        mut pace: Backoff,
        settings: &settings::Canary,
    ) -> Result<Duration, Error> {
        let rest = pace.next();
        // Put back first: a look that fails does not mean that the run is over.
        self.pace = Some(pace);
        match run::look(&self.database, settings).await? {
            Outcome::Waiting => return Ok(rest),
            Outcome::Failed => return self.tell_failure().await,
            Outcome::Succeeded => self.tell_success(),
            Outcome::Unknown => {}
        }
        self.pace = None;
        Ok(Duration::ZERO)
    }

    fn tell_success(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            self.complaints = Repeated::default();
            tracing::info!("the canary has succeeded again");
        }
    }

    /// A failure that lasts is reported less and less often.
    async fn tell_failure(&mut self) -> Result<Duration, Error> {
        self.pace = None;
        let Some(failure) = run::failure(&self.database).await? else {
            return Ok(Duration::ZERO);
        };
        self.is_failing = true;
        if let Some(times) = self.complaints.count_of(&failure) {
            tracing::warn!(times, "the canary has failed: {failure}");
        }
        Ok(Duration::ZERO)
    }
}
