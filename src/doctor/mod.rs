//! Looks for what keeps sessions from ending, or will, and reports what to do about it. Changes nothing.
//!
//! A check is a line in [`CHECKS`] and a function that returns what it found. It looks through the [`Patient`]'s
//! connection, so what it finds holds for the role that asks: best the daemon's. What it may find is listed in
//! [`FINDINGS`](crate::settings::FINDINGS), and explained in `docs/doctor.md`.

mod cache;
mod canary;
mod connection;
mod installation;
mod opinion;
mod server;
mod tables;
mod work;

use std::{future::Future, pin::Pin};

use serde::Serialize;
use tokio_postgres::Client;

use opinion::{Opinion, fail, ok, warn};

use crate::{
    connection::{Error, Target},
    schema::{self, Site},
    settings::Settings,
    status::{self, Status},
};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but is worth knowing.
    Warn,
    /// Keeps sessions from ending as they should.
    Fail,
}

/// What a check found: how it stands, and a sentence that names what to do. These are the fields of `--json`.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// What it found, by the name under which it can be silenced; none where all is well.
    pub id: Option<&'static str>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, and what to do about it. No secret, and no session key (P7).
    pub says: String,
    /// The command that mends it, of a shell or in SQL; none where it takes more than one, or a person's decision.
    pub mend: Option<String>,
    /// Whether the operator knows of it, by `doctor.silence`: then it does not count.
    pub silenced: bool,
}

type Looking<'a> = Pin<Box<dyn Future<Output = Result<Vec<Opinion>, Error>> + 'a>>;

/// A check: its name, whether it makes sense only where session-reaper is installed, and how to look.
struct Check {
    name: &'static str,
    of_installed: bool,
    look: for<'a> fn(&'a Patient<'a>) -> Looking<'a>,
}

/// One line each.
macro_rules! checks {
    ($($name:literal, $when:ident, $look:path;)*) => {
        &[$(Check { name: $name, of_installed: checks!(@ $when), look: |patient| Box::pin($look(patient)) }),*]
    };
    (@ always) => { false };
    (@ installed) => { true };
}

/// In the order in which one thing needs the other.
const CHECKS: &[Check] = checks! {
    "encryption",    always,    connection::encryption;
    "role",          always,    connection::role;
    "server",        always,    server::version;
    "tables",        always,    installation::tables;
    "schema",        always,    installation::version;
    "rights",        installed, installation::rights;
    "functions",     installed, installation::functions;
    "settings",      installed, installation::settings;
    "pause",         installed, installation::pause;
    "triggers",      installed, installation::triggers;
    "notifications", always,    connection::notifications;
    "two-phase",     always,    server::two_phase;
    "queue",         always,    server::queue;
    "publications",  installed, server::publications;
    "replication",   always,    server::replication_role;
    "clock",         always,    server::clock;
    "daemon",        installed, work::daemon;
    "workers",       installed, work::workers;
    "revocations",   installed, work::revocations;
    "linking",       installed, work::linking;
    "cache",         installed, cache::cache;
    "canary",        installed, canary::canary;
    "purge",         installed, work::purge;
    "expiry index",  always,    tables::expiry_index;
    "references",    always,    tables::references;
    "expiry",        always,    tables::expiry;
    "autovacuum",    always,    tables::autovacuum;
};

/// What is looked at.
pub struct Patient<'a> {
    client: &'a Client,
    target: &'a Target,
    settings: &'a Settings,
    site: Result<Site, schema::Error>,
    status: Option<Status>,
}

/// Looks at everything. A database that cannot be reached is a finding, too.
pub async fn examine(target: &Target, settings: &Settings) -> Vec<Finding> {
    match connect_and_examine(target, settings).await {
        Ok(findings) => findings,
        Err(error) => {
            let opinion = Opinion::new(Verdict::Fail, "connection.failed", "", error.to_string());
            vec![opinion.of("connection", settings)]
        }
    }
}

async fn connect_and_examine(
    target: &Target,
    settings: &Settings,
) -> Result<Vec<Finding>, schema::Error> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let version = schema::installed_version(&client).await?;
    let is_current = version == Some(schema::newest_version());
    let status = match version {
        Some(_) if is_current => Some(status::read(&client, version).await?),
        _ => None,
    };
    let patient = Patient {
        client: &client,
        target,
        settings,
        site: Site::inspect(&client, &settings.site).await,
        status,
    };
    let mut findings = vec![Opinion::well(target.describe()).of("connection", settings)];
    for check in CHECKS
        .iter()
        .filter(|check| is_current || !check.of_installed)
    {
        findings.extend(check.findings(&patient).await);
    }
    Ok(findings)
}

impl Check {
    /// A check that cannot look has found something, too: usually a missing right.
    async fn findings(&self, patient: &Patient<'_>) -> Vec<Finding> {
        let opinions = match (self.look)(patient).await {
            Ok(opinions) => opinions,
            Err(error) => {
                let says = format!("could not be checked: {error}");
                vec![Opinion::new(Verdict::Fail, "check.failed", "", says)]
            }
        };
        let finding = |opinion: Opinion| opinion.of(self.name, patient.settings);
        opinions.into_iter().map(finding).collect()
    }
}
