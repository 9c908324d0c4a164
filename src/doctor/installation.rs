//! What is installed: whether it is this release's, whole, and allowed to work.

use super::{Opinion, Patient, Verdict, fail, ok, warn};
use crate::{connection::Error, schema};

const MIGRATE: &str = "session-reaper migrate";
const RESUME: &str = "session-reaper resume";

pub(super) async fn tables(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    match &patient.site {
        Err(error) => fail("tables.unusable", "", error.to_string()),
        Ok(site) => ok(format!(
            "{} by {} ({}), {} by {} ({}), both unique",
            site.users,
            site.user_key.name,
            site.user_key.sql_type,
            site.sessions,
            site.session_key.name,
            site.session_key.sql_type
        )),
    }
}

pub(super) async fn version(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    match schema::installed(patient.client).await {
        Ok(()) => ok(format!("version {}", schema::newest_version())),
        Err(error) => fail("schema.differs", mend_of(&error), error.to_string()),
    }
}

/// The daemon's rights, for the role that asks.
pub(super) async fn rights(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    match schema::missing_rights(patient.client, None, &patient.settings.site).await? {
        None => ok("this role may do what a daemon does"),
        Some(fault) => fail("rights.missing", mend_of(&fault), fault.to_string()),
    }
}

pub(super) async fn functions(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    let differing = match schema::differing(patient.client, site).await {
        Ok(differing) => differing,
        Err(schema::Error::Connection(error)) => return Err(error),
        Err(error) => return fail("functions.differ", mend_of(&error), error.to_string()),
    };
    // Settings without the cache that was installed make different functions; that is the cache's finding.
    if site.is_cached != schema::evicts(patient.client).await? {
        return Ok(Vec::new());
    }
    // The view is gone while the site migrates.
    if differing.is_empty() || is_paused(patient) {
        return ok("those of this release");
    }
    warn(
        "functions.differ",
        MIGRATE,
        format!(
            "{} are of another release, or of other settings: run `session-reaper migrate` with the newest release and the service's settings",
            differing.join(", ")
        ),
    )
}

/// What the installation was made with: sessions that the functions count as expired by another column or zone would be
/// purged differently from how they are counted.
pub(super) async fn settings(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    match schema::check_expiry(patient.client, site).await {
        Ok(()) => ok("are those of the installation"),
        Err(schema::Error::Connection(error)) => Err(error),
        Err(error @ schema::Error::OtherExpiry) => {
            fail("settings.other_expiry", mend_of(&error), error.to_string())
        }
        Err(error) => fail("expiry.implausible", "", error.to_string()),
    }
}

fn is_paused(patient: &Patient<'_>) -> bool {
    let status = patient.status.as_ref();
    status.is_some_and(|status| status.paused.is_some())
}

pub(super) async fn pause(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let paused = patient
        .status
        .as_ref()
        .and_then(|status| status.paused.as_ref());
    match paused {
        None => ok("not paused"),
        Some(pause) => warn(
            "pause.on",
            RESUME,
            format!(
                "paused since {} by {}: nothing is ended or purged until `session-reaper resume`",
                pause.since, pause.by
            ),
        ),
    }
}

/// Triggers, foreign keys, the types of keys, and what the functions may do with the site's tables.
pub(super) async fn triggers(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    if is_paused(patient) {
        return ok("stand back until `session-reaper resume`, with the foreign keys");
    }
    let faults = schema::faults(patient.client, &patient.settings.site).await?;
    if faults.is_empty() {
        return ok("in place, with the foreign keys and the rights, and the types of keys fit");
    }
    Ok(faults.iter().map(opinion_of).collect())
}

fn opinion_of(fault: &schema::Error) -> Opinion {
    use schema::Error as E;
    let id = match fault {
        E::NoTrigger { .. } => "triggers.missing",
        E::ReadingWasOff { .. } | E::TriggerWasOff { .. } => "triggers.were_off",
        E::KeyType { .. } | E::NoCast { .. } => "keys.type",
        E::NoReference { .. } => "keys.no_reference",
        E::NoFunction { .. } => "functions.missing",
        E::NoUsage { .. } | E::NoRight { .. } => "rights.site",
        E::HiddenRows { .. } | E::RowSecurity { .. } => "rights.row_security",
        E::OwnSetting { .. } => "settings.of_role",
        E::OtherSite { .. } => "settings.other_site",
        _ => "tables.unusable",
    };
    Opinion::new(Verdict::Fail, id, mend_of(fault), fault.to_string())
}

/// The command that a sentence names: it is between backticks, or is the statement at its end. None where the right
/// command depends on what happened.
fn mend_of(fault: &schema::Error) -> String {
    if let schema::Error::OtherSite { .. } | schema::Error::NoCast { .. } = fault {
        return String::new();
    }
    let says = fault.to_string();
    let command = says.split('`').nth(1).map(str::to_owned);
    let grant = || {
        let (_, statement) = says.split_once(": grant ")?;
        let (statement, _) = statement.split_once(", or ").unwrap_or((statement, ""));
        Some(format!("grant {statement}"))
    };
    command.or_else(grant).unwrap_or_default()
}
