//! Whether what is installed is what this release works with. Strict, because it is asked at the start:
//! later on nothing but a signal ends the daemon.

use tokio_postgres::{Client, GenericClient};

use super::{Error, Site, behaviour, keys, migrate::newest_version, pause, references, triggers};
use crate::{
    connection,
    settings::{self, Cached},
};

/// Under which name it is remembered who has been given a daemon's rights.
pub(super) const DAEMON_ROLE: &str = "daemon_role";

/// PostgreSQL 14 brought `create or replace trigger` and `idle_session_timeout`.
const OLDEST_SERVER: i32 = 140_000;

/// Refuses a schema that this release does not know, and a site whose foreign keys or triggers are not in place.
///
/// # Errors
/// A sentence that names the command that mends it.
pub async fn check(client: &Client, settings: &settings::Site) -> Result<Site, Error> {
    server(client).await?;
    installed(client).await?;
    if let Some(pause) = pause::current(client).await? {
        return Err(pause.refuse());
    }
    let site = Site::inspect(client, settings).await?;
    same_site(client, &site).await?;
    if let Some(fault) = faults_of(client, &site).await?.into_iter().next() {
        return Err(fault);
    }
    let differing = behaviour::differing(client, &site).await?;
    if !differing.is_empty() {
        // A newer release may have migrated while this one still runs: that is how a rolling restart begins.
        tracing::warn!(
            files = differing.join(" "),
            "functions in the database are of another release of session-reaper, or of other settings; run `session-reaper migrate` with the newest release and these settings"
        );
    }
    Ok(site)
}

/// Everything that is not in place any more, each with the command that mends it; an empty list is what one wants to
/// see. The site's tables may have been dropped, created anew or altered since the start.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn faults(
    client: &Client,
    settings: &settings::Site,
) -> Result<Vec<Error>, connection::Error> {
    let found = async {
        installed(client).await?;
        let site = Site::inspect(client, settings).await?;
        same_site(client, &site).await?;
        faults_of(client, &site).await
    };
    match found.await {
        Ok(faults) => Ok(faults),
        Err(Error::Connection(error)) => Err(error),
        Err(fault) => Ok(vec![fault]),
    }
}

/// Types first: the command that mends them mends the rest as well.
async fn faults_of(client: &Client, site: &Site) -> Result<Vec<Error>, Error> {
    let misfits = keys::misfits(client, site).await?;
    let mut faults: Vec<Error> = misfits.iter().map(keys::Misfit::complain).collect();
    for reference in references::wanted(site) {
        if !reference.is_there(client).await? {
            let table = reference.table.to_string();
            faults.push(Error::NoReference { table });
        }
    }
    for trigger in triggers::wanted(site) {
        if !trigger.is_attached(client).await? {
            let (name, table) = (trigger.name.to_owned(), trigger.table.to_string());
            faults.push(Error::NoTrigger { name, table });
        }
    }
    Ok(faults)
}

/// Refuses a schema that is missing, or of another release.
///
/// # Errors
/// A sentence that names the command that mends it.
pub async fn installed(client: &Client) -> Result<(), Error> {
    match installed_version(client).await? {
        None => Err(Error::NotInstalled),
        Some(found) if found < newest_version() => Err(Error::TooOld {
            found,
            needed: newest_version(),
        }),
        Some(_) => not_newer(client).await,
    }
}

pub(super) async fn server(client: &Client) -> Result<(), Error> {
    let row = client
        .query_one(
            "-- schema::check::server
            select pg_catalog.current_setting('server_version_num')::integer,
                   pg_catalog.current_setting('server_version'),
                   pg_catalog.current_setting('transaction_read_only')::boolean",
            &[],
        )
        .await?;
    if row.get::<_, i32>(0) < OLDEST_SERVER {
        return Err(Error::OldServer { found: row.get(1) });
    }
    if row.get(2) {
        return Err(Error::ReadOnly);
    }
    Ok(())
}

pub(super) async fn not_newer(client: &Client) -> Result<(), Error> {
    let known = newest_version();
    match installed_version(client).await? {
        Some(found) if found > known => Err(Error::TooNew { found, known }),
        _ => Ok(()),
    }
}

/// Other tables than the ones that it was installed for would be swept by functions that know the old ones.
pub(super) async fn same_site(client: &Client, site: &Site) -> Result<(), Error> {
    if !has_table(client, "session_reaper.behaviour").await? {
        return Ok(());
    }
    match behaviour::in_force(client, "site").await? {
        Some(digest) if digest != site_digest(site) => Err(Error::OtherSite),
        _ => Ok(()),
    }
}

/// Refuses to take away what a service stands on that runs with other settings: a command that was given none finds
/// every table by the defaults, and would do so silently.
pub(super) async fn forgets_nothing(
    client: &Client,
    settings: &settings::Site,
) -> Result<(), Error> {
    if !has_table(client, "session_reaper.behaviour").await? {
        return Ok(());
    }
    let attached = triggers::Attached::all(client).await?;
    if settings.cached == Cached::Unsaid && attached.iter().any(triggers::Attached::evicts) {
        return Err(Error::ForgetsCache);
    }
    match behaviour::in_force(client, DAEMON_ROLE).await? {
        Some(role) if settings.daemon_role.is_none() => Err(Error::ForgetsRole { role }),
        _ => Ok(()),
    }
}

/// Tells one site's names from another's. Types may change: see `keys`.
pub(super) fn site_digest(site: &Site) -> String {
    let mut names = site.names();
    names.retain(|name, _| !name.ends_with("_type"));
    behaviour::digest(&format!("{names:?}"))
}

/// Refuses to purge by another expiry than the installed one, which would be counted in one way and deleted in another,
/// and by a unit that the sessions belie. Apart from [`check`], because it must not stand in the way of a revocation.
///
/// # Errors
/// A sentence that names the command or the setting that mends it.
pub async fn check_expiry(client: &Client, site: &Site) -> Result<(), Error> {
    if behaviour::in_force(client, "expiry").await?.as_deref() != Some(&expiry_digest(site)) {
        return Err(Error::OtherExpiry);
    }
    plausible_expiry(client, site).await
}

/// Refuses a unit that the sessions belie.
pub(super) async fn plausible_expiry(client: &Client, site: &Site) -> Result<(), Error> {
    match &site.expires {
        Some(expiry) => expiry.check(client, &site.sessions).await,
        None => Ok(()),
    }
}

/// Tells one way to expire from another. Functions may be of an older release, this may not.
pub(super) fn expiry_digest(site: &Site) -> String {
    behaviour::digest(&format!("{:?}", site.expires))
}

pub(super) async fn has_table(
    client: &impl GenericClient,
    name: &str,
) -> Result<bool, connection::Error> {
    let row = client
        .query_one(
            "-- schema::check::has_table
            select pg_catalog.to_regclass($1) is not null",
            &[&name],
        )
        .await?;
    Ok(row.get(0))
}

/// The newest migration that was applied here; none if nothing was.
pub async fn installed_version(client: &Client) -> Result<Option<i32>, Error> {
    if !has_table(client, "session_reaper.schema_history").await? {
        return Ok(None);
    }
    let row = client
        .query_one(
            "-- schema::check::installed_version
            select pg_catalog.max(version) from session_reaper.schema_history",
            &[],
        )
        .await?;
    Ok(row.get(0))
}
