//! Which database, worked out once at the start from everything that may name it.

mod completing;

use std::fmt;
use std::time::Duration;

use super::host::{self, Host, Place};
use super::parameters::Parameters;
use super::{Error, source, startup, tls};
use crate::settings::{Database, Environment};
use completing::complete;

const HOW_TO_GIVE_ONE: &str = "give one with DATABASE_URL, database.url in the file of settings, the credential database_url, PGSERVICE, or PGHOST and PGDATABASE";

/// A database and how to connect to it. Neither its `Debug` nor its description shows a password (P7).
#[derive(Clone)]
pub struct Target {
    pub(super) hosts: Vec<Host>,
    /// How long a connection may take to be ready, over all hosts.
    pub(super) patience: Duration,
    /// How long one statement may run.
    pub(super) statement_timeout: Duration,
    pub(super) pool_size: usize,
    /// What every connection sets for itself.
    pub(super) options: String,
    tries_in_any_order: bool,
    description: String,
    /// Whether any source names a database.
    is_given: bool,
}

impl Target {
    /// Works out the database: from the setting, else `DATABASE_URL`, else systemd's credential
    /// `database_url`, and for what these leave open from the `PG*` variables and libpq's defaults.
    ///
    /// ```
    /// use session_reaper::connection::Target;
    /// use session_reaper::settings::{Database, Environment};
    ///
    /// let environment = Environment::from([("DATABASE_URL", "postgresql://app:secret@db.example/shop")]);
    /// let target = Target::resolve(&Database::default(), &environment)?;
    /// assert_eq!(target.describe(), "database shop on db.example port 5432 as app");
    /// # Ok::<(), session_reaper::connection::Error>(())
    /// ```
    pub fn resolve(settings: &Database, environment: &Environment) -> Result<Self, Error> {
        let mut parameters = source::parameters(settings, environment)?;
        let is_given = parameters.name_a_database();
        let tls = tls::Options::take_from(&mut parameters, environment);
        let places = Place::take_from(&mut parameters)?;
        complete(&mut parameters, &places, is_given)?;
        let patience = patience(settings, &mut parameters, places.len())?;
        let passwords = host::passwords(&mut parameters, environment);
        let tries_in_any_order = parameters.take("load_balance_hosts").as_deref() == Some("random");
        let tls = tls.configure(!places.iter().all(Place::is_socket))?;
        let share = share(patience, places.len());
        let host = |place: &Place| place.complete(&parameters, &tls, passwords.as_deref(), share);
        Ok(Self {
            hosts: places.iter().map(host).collect::<Result<_, _>>()?,
            patience,
            statement_timeout: Duration::from_secs(settings.statement_timeout_s),
            pool_size: settings.pool_size,
            options: startup::options(settings.statement_timeout_s),
            tries_in_any_order,
            description: describe(&parameters, &places),
            is_given,
        })
    }

    /// The database, its host, port and user, for log lines and `status`.
    pub fn describe(&self) -> String {
        self.description.clone()
    }

    /// The same for an error: an operator who has given no database has to look for the mistake there.
    pub(super) fn describe_failed(&self) -> String {
        let description = &self.description;
        if self.is_given {
            return description.clone();
        }
        format!(
            "{description}, which is only the default because no database was given ({HOW_TO_GIVE_ONE})"
        )
    }

    /// Refuses to go on where no source names a database: a daemon that waits for the default may wait for ever.
    ///
    /// # Errors
    /// A sentence that says how to give one.
    pub fn require_given(&self) -> Result<(), Error> {
        if self.is_given {
            return Ok(());
        }
        Err(Error::Settings(format!(
            "no database was given ({HOW_TO_GIVE_ONE})"
        )))
    }

    /// The hosts in the order in which they are tried this time.
    pub(super) fn hosts_to_try(&self) -> Vec<&Host> {
        let mut hosts: Vec<&Host> = self.hosts.iter().collect();
        if self.tries_in_any_order {
            fastrand::shuffle(&mut hosts);
        }
        hosts
    }

    /// The longest that a transaction may take: one of its statements may run as long as the server lets it, the
    /// others take no time.
    pub fn longest_transaction(&self) -> Duration {
        self.statement_timeout.saturating_add(self.patience)
    }

    /// The time that one host may take before the next one is tried.
    pub(super) fn share(&self) -> Duration {
        share(self.patience, self.hosts.len())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.description).finish()
    }
}

// To libpq, connect_timeout is the time for each host; the setting is for all of them.
fn patience(
    settings: &Database,
    parameters: &mut Parameters,
    hosts: usize,
) -> Result<Duration, Error> {
    let Some(text) = parameters.take("connect_timeout") else {
        return Ok(Duration::from_secs(settings.connect_timeout_s));
    };
    let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    match text.parse::<i32>().map(u32::try_from) {
        Ok(Ok(seconds @ 1..)) => Ok(Duration::from_secs(seconds.into()).saturating_mul(hosts)),
        // Zero and less mean to wait "for ever" there, which a daemon must not do.
        Ok(_) => Ok(Duration::from_secs(settings.connect_timeout_s)),
        Err(_) => Err(Error::Settings(
            "connect_timeout has to be a whole number of seconds".to_owned(),
        )),
    }
}

fn share(patience: Duration, hosts: usize) -> Duration {
    patience / u32::try_from(hosts).unwrap_or(u32::MAX).max(1)
}

fn describe(parameters: &Parameters, places: &[Place]) -> String {
    let places: Vec<String> = places.iter().map(Place::describe).collect();
    let name = |name| parameters.get(name).unwrap_or_default();
    format!(
        "database {} on {} as {}",
        name("dbname"),
        places.join(", "),
        name("user")
    )
}

#[cfg(test)]
mod tests;
