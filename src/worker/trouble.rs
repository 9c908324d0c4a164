//! What a worker keeps failing at, recorded where `status` finds it: in the database, because `status` is another
//! process.
//!
//! One failed pass means little where a lock or a lost connection was in the way. A failure that lasts, or that no
//! other try will mend, such as a missing right, is a problem. A database that is down can record nothing, and is seen
//! without that.

use std::time::{Duration, Instant};

use super::failures::Failures;
use crate::{
    connection::{Database, Error},
    process::service_manager::Supervisor,
};

/// Longer than any lock or failover that a site would not notice itself.
const LASTING: Duration = Duration::from_secs(10);

/// A daemon that cannot record its trouble has something better to do than to wait for that.
const PATIENCE: Duration = Duration::from_secs(2);

/// The name under which a failed reload is listed among the workers.
pub const SETTINGS: &str = "settings";

/// The trouble of one worker of one daemon.
pub struct Trouble {
    worker: &'static str,
    task: &'static str,
    teller: Teller,
    failing: Option<(Instant, i64)>,
    /// Whether the database may have a row about it. At first there may be one from an earlier worker.
    told: bool,
}

/// Records the trouble of a daemon's workers.
#[derive(Clone)]
pub struct Teller {
    daemon: String,
    supervisor: Supervisor,
    failures: Failures,
}

impl Teller {
    /// For a daemon that has just started.
    pub fn new(supervisor: Supervisor, failures: Failures) -> Self {
        Self {
            daemon: format!("{:016x}", fastrand::u64(..)),
            supervisor,
            failures,
        }
    }

    /// For one of its workers, whose log lines say "could not {task}".
    pub fn of(&self, worker: &'static str, task: &'static str) -> Trouble {
        if worker != SETTINGS {
            self.failures.list(worker);
        }
        Trouble {
            worker,
            task,
            teller: self.clone(),
            failing: None,
            told: true,
        }
    }
}

impl Trouble {
    /// Whether a pass has failed only because the database is away. The listener reports that for all workers: an
    /// outage is one thing to an operator. The listener may take some seconds to find out; if it never does, there is
    /// another reason.
    pub fn is_outage(&self, error: &Error) -> bool {
        let began_lately = self
            .failing
            .is_none_or(|(since, _)| since.elapsed() < LASTING);
        error.is_not_there_yet() && (began_lately || self.teller.supervisor.is_lost())
    }

    /// A pass has failed.
    pub async fn note(&mut self, database: &Database, error: &Error) {
        self.teller.failures.count(self.worker);
        let (since, attempts) = self.failing.get_or_insert((Instant::now(), 0));
        *attempts += 1;
        let (failing_for, attempts) = (since.elapsed(), *attempts);
        if error.is_transient() && failing_for < LASTING {
            return;
        }
        let concern = format!("could not {}, see the log", self.task);
        self.teller.supervisor.troubled(self.worker, Some(concern));
        self.told = true;
        let sqlstate = error.sqlstate().map(|state| state.code());
        let write = write(database, self, failing_for, attempts, sqlstate);
        self.try_to(write).await;
    }

    /// A pass has succeeded, or the worker stops.
    pub async fn over(&mut self, database: &Database) {
        self.failing = None;
        self.teller.supervisor.troubled(self.worker, None);
        if self.told {
            self.told = !self.try_to(erase(database, self)).await;
        }
    }

    /// For trouble that lasts without being tried again and again, unlike a worker's. `None` when it is over.
    pub async fn lasts(&mut self, database: &Database, failing_for: Option<Duration>) {
        match failing_for {
            Some(failing_for) => {
                self.told = true;
                self.try_to(write(database, self, failing_for, 1, None))
                    .await;
            }
            None if self.told => self.told = !self.try_to(erase(database, self)).await,
            None => {}
        }
    }

    async fn try_to(&self, tell: impl Future<Output = Result<(), Error>>) -> bool {
        match tokio::time::timeout(PATIENCE, tell).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(worker = self.worker, %error, "could not tell how it goes");
                false
            }
            Err(_) => false,
        }
    }
}

async fn write(
    database: &Database,
    trouble: &Trouble,
    failing_for: Duration,
    attempts: i64,
    sqlstate: Option<&str>,
) -> Result<(), Error> {
    database
        .execute(
            "-- worker::trouble::write
            insert into session_reaper.trouble as t (daemon, worker, since, attempts, sqlstate)
            values ($1, $2, clock_timestamp() - $3::double precision * interval '1 second', $4, $5)
            on conflict on constraint trouble_pkey do update
                set since = excluded.since, attempts = excluded.attempts, sqlstate = excluded.sqlstate,
                    last_at = excluded.last_at",
            &[
                &trouble.teller.daemon,
                &trouble.worker,
                &failing_for.as_secs_f64(),
                &attempts,
                &sqlstate,
            ],
        )
        .await?;
    Ok(())
}

/// Along with what a dead daemon has left.
async fn erase(database: &Database, trouble: &Trouble) -> Result<(), Error> {
    database
        .execute(
            "-- worker::trouble::erase
            delete from session_reaper.trouble t
            where t.worker = $2 and (t.daemon = $1 or t.last_at < clock_timestamp() - interval '1 day')",
            &[&trouble.teller.daemon, &trouble.worker],
        )
        .await?;
    Ok(())
}
