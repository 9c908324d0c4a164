//! Whether what is installed is what this release works with. Strict, because it is asked at the start:
//! later on nothing but a signal ends the daemon.

use tokio_postgres::Client;

use super::{Error, Site, behaviour, migrate::newest_version, references, triggers};
use crate::settings;

/// PostgreSQL 14 brought `create or replace trigger` and `idle_session_timeout`.
const OLDEST_SERVER: i32 = 140_000;

/// Refuses a schema that this release does not know, and a site whose foreign keys or triggers are not in place.
///
/// # Errors
/// A sentence that names the command that mends it.
pub async fn check(client: &Client, settings: &settings::Site) -> Result<Site, Error> {
    server(client).await?;
    match installed_version(client).await? {
        None => return Err(Error::NotInstalled),
        Some(found) if found < newest_version() => {
            return Err(Error::TooOld {
                found,
                needed: newest_version(),
            });
        }
        Some(_) => not_newer(client).await?,
    }
    let site = Site::inspect(client, settings).await?;
    same_site(client, &site).await?;
    for reference in references::wanted(&site) {
        if !reference.is_there(client).await? {
            let table = reference.table.to_string();
            return Err(Error::NoReference { table });
        }
    }
    for trigger in triggers::wanted(&site) {
        if !trigger.is_attached(client).await? {
            let (name, table) = (trigger.name.to_owned(), trigger.table.to_string());
            return Err(Error::NoTrigger { name, table });
        }
    }
    let differing = behaviour::differing(client, &site).await?;
    if !differing.is_empty() {
        // A newer release may have migrated while this one still runs: that is how a rolling restart begins.
        tracing::warn!(
            files = differing.join(" "),
            "functions in the database are of another release of session-reaper; run `session-reaper migrate` with the newest one"
        );
    }
    Ok(site)
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

/// Tells one site's names and types from another's.
pub(super) fn site_digest(site: &Site) -> String {
    behaviour::digest(&format!("{:?}", site.names()))
}

async fn has_table(client: &Client, name: &str) -> Result<bool, Error> {
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
