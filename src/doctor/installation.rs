//! What is installed: whether it is this release's, whole, and allowed to work.

use super::{Opinion, Patient, Verdict, fail, ok, warn};
use crate::{connection::Error, schema};

pub(super) async fn tables(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    match &patient.site {
        Err(error) => fail(error.to_string()),
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
        Err(error) => fail(error.to_string()),
    }
}

/// Those of the daemon, for the role that asks.
pub(super) async fn rights(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let row = patient
        .client
        .query_one(
            "-- doctor::installation::rights
            select current_user::text, array(
                select 'table ' || c.relname
                from pg_catalog.pg_class c
                where c.relnamespace = 'session_reaper'::regnamespace
                  and c.relkind = 'r'
                  and not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
                    and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete'))
                union all
                select 'function ' || p.proname
                from pg_catalog.pg_proc p
                where p.pronamespace = 'session_reaper'::regnamespace
                  and p.prorettype <> 'trigger'::regtype
                  and not has_function_privilege(p.oid, 'execute')
                order by 1)",
            &[],
        )
        .await?;
    let (role, missing): (String, Vec<String>) = (row.get(0), row.get(1));
    match missing.first() {
        None => ok(format!("{role} may do what a daemon does")),
        Some(first) => fail(format!(
            "{role} lacks rights on {first} and {} more: name it as site.daemon_role, and run `session-reaper migrate` as the owner",
            missing.len() - 1
        )),
    }
}

pub(super) async fn functions(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    let differing = match schema::differing(patient.client, site).await {
        Ok(differing) => differing,
        Err(schema::Error::Connection(error)) => return Err(error),
        Err(error) => return fail(error.to_string()),
    };
    // The view is gone while the site migrates.
    if differing.is_empty() || is_paused(patient) {
        return ok("those of this release");
    }
    warn(format!(
        "{} are of another release: run `session-reaper migrate` with the newest one",
        differing.join(", ")
    ))
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
        Some(pause) => warn(format!(
            "paused since {} by {}: nothing is ended or purged until `session-reaper resume`",
            pause.since, pause.by
        )),
    }
}

/// Triggers, foreign keys and the types of keys: what `run` checks at its start.
pub(super) async fn triggers(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    if is_paused(patient) {
        return ok("stand back until `session-reaper resume`, with the foreign keys");
    }
    let faults = schema::faults(patient.client, &patient.settings.site).await?;
    if faults.is_empty() {
        return ok("in place, with the foreign keys, and the types of keys fit");
    }
    let opinion = |fault: &schema::Error| (Verdict::Fail, fault.to_string());
    Ok(faults.iter().map(opinion).collect())
}
