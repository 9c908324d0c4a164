//! Whether what is installed is what this release works with. Strict, because it is checked at the start: later on
//! nothing but a signal ends the daemon.

mod same;

use tokio_postgres::Client;

use super::{
    Error, Site,
    objects::{
        access, foreign_keys, functions, key_types,
        triggers::{self, State},
    },
    state,
};
use crate::{connection, settings};
pub(super) use same::{forgets_nothing, same_site, site_digest, with_installed_roles};

/// Refuses a schema that this release does not know, and a site whose foreign keys or triggers are not in place.
///
/// # Errors
/// A sentence that names the command that mends it.
pub async fn check(client: &Client, settings: &settings::Site) -> Result<Site, Error> {
    state::server(client).await?;
    fires_triggers(client).await?;
    state::installed(client).await?;
    if let Some(pause) = state::current_pause(client).await? {
        return Err(pause.refuse());
    }
    let site = match in_place(client, settings).await {
        Err(fault) if !matches!(fault, Error::Connection(_)) => {
            // A pause that has begun since explains the fault. So does one that has ended since, as long as nothing is
            // missing now.
            if let Some(pause) = state::current_pause(client).await? {
                return Err(pause.refuse());
            }
            in_place(client, settings).await?
        }
        site => site?,
    };
    let differing = functions::differing(client, &site).await?;
    if !differing.is_empty() {
        // A newer release may have migrated while this one still runs: that is how a rolling restart begins.
        tracing::warn!(
            files = differing.join(" "),
            "functions in the database are of another release of session-reaper, or of other settings; run `session-reaper migrate` with the newest release and these settings"
        );
    }
    Ok(site)
}

async fn in_place(client: &Client, settings: &settings::Site) -> Result<Site, Error> {
    let site = Site::inspect(client, settings).await?;
    same_site(client, &site).await?;
    match faults_of(client, &site).await?.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(site),
    }
}

/// Everything that is no longer in place, each with the command that mends it; an empty list if all is well. The site's
/// tables may have been dropped, created anew or altered since the start.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn faults(
    client: &Client,
    settings: &settings::Site,
) -> Result<Vec<Error>, connection::Error> {
    let found = async {
        state::installed(client).await?;
        let site = Site::inspect(client, settings).await?;
        same_site(client, &site).await?;
        let mut faults = faults_of(client, &site).await?;
        // A daemon starts without these: a right may come back, and until then the daemon reports that it is missing.
        faults.extend(access::faults(client, &site, settings).await?);
        Ok(faults)
    };
    match found.await {
        Ok(faults) => Ok(faults),
        Err(Error::Connection(error)) => Err(error),
        Err(fault) => Ok(vec![fault]),
    }
}

/// Types first: the command that mends them mends the rest as well.
async fn faults_of(client: &Client, site: &Site) -> Result<Vec<Error>, Error> {
    let misfits = key_types::misfits(client, site).await?;
    let mut faults: Vec<Error> = misfits.iter().map(key_types::Misfit::complain).collect();
    for reference in foreign_keys::wanted(site) {
        if !reference.is_there(client).await? {
            let table = reference.table.to_string();
            faults.push(Error::NoReference { table });
        }
    }
    for trigger in triggers::wanted(site) {
        let (name, table) = (trigger.name.clone(), trigger.table.to_string());
        match trigger.state(client).await? {
            State::Attached => {}
            State::Missing => faults.push(Error::NoTrigger { name, table }),
            State::WasOff if trigger.reads => faults.push(Error::ReadingWasOff { name, table }),
            State::WasOff => faults.push(Error::TriggerWasOff { name, table }),
        }
    }
    Ok(faults)
}

/// Refuses to purge by an expiry that differs from the installed one, because sessions would be counted in one way and
/// deleted in another. Also refuses a unit that the sessions contradict. Separate from [`check`], because it must not
/// get in the way of a revocation.
///
/// # Errors
/// A sentence that names the command or the setting that mends it.
pub async fn check_expiry(client: &Client, site: &Site) -> Result<(), Error> {
    if functions::in_force(client, "expiry").await?.as_deref() != Some(&expiry_digest(site)) {
        return Err(Error::OtherExpiry);
    }
    plausible_expiry(client, site).await
}

/// Refuses a unit that the sessions contradict.
pub(super) async fn plausible_expiry(client: &Client, site: &Site) -> Result<(), Error> {
    for column in site.expires.iter().chain(&site.used) {
        column.check(client, &site.sessions).await?;
    }
    Ok(())
}

/// Distinguishes one way to expire from another. Functions may be of an older release, this must not.
pub(super) fn expiry_digest(site: &Site) -> String {
    functions::digest(&format!("{:?} {:?}", site.expires, site.used))
}

/// Whether deleted sessions are noted for a cache, whatever the settings say.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn evicts(client: &Client) -> Result<bool, connection::Error> {
    match triggers::Attached::all(client).await {
        Ok(attached) => Ok(attached.iter().any(triggers::Attached::evicts)),
        Err(Error::Connection(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// A session that we delete has to take its link along, and be noted for the cache.
async fn fires_triggers(client: &Client) -> Result<(), Error> {
    let role = "-- schema::check::fires_triggers
        select pg_catalog.current_setting('session_replication_role')";
    match client.query_one(role, &[]).await?.get(0) {
        "origin" | "local" => Ok(()),
        role => {
            let role = role.to_owned();
            Err(Error::ReplicationRole { role })
        }
    }
}
