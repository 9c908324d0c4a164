//! Whether the settings are those that the installation was made with.

use tokio_postgres::Client;

use crate::schema::{
    Error, Site,
    objects::{functions, rights::DAEMON_ROLE, triggers},
    state::has_table,
};
use crate::settings::{self, Cached};

/// Other tables than the ones that it was installed for would be swept by functions that know the old ones.
pub(in crate::schema) async fn same_site(client: &Client, site: &Site) -> Result<(), Error> {
    if !has_table(client, "session_reaper.behaviour").await? {
        return Ok(());
    }
    match functions::in_force(client, "site").await? {
        Some(digest) if digest != site_digest(site) => Err(Error::OtherSite {
            installed: installed_for(client).await?,
        }),
        _ => Ok(()),
    }
}

/// The tables that the installation looks after, for a sentence. During a pause nothing refers to them.
async fn installed_for(client: &Client) -> Result<String, Error> {
    let row = client
        .query_one(
            "-- schema::check::same::installed_for
            select coalesce(string_agg(n.nspname || '.' || t.relname, ' and ' order by c.conname), 'the tables of a site')
            from pg_catalog.pg_constraint c
            join pg_catalog.pg_class t on t.oid = c.confrelid
            join pg_catalog.pg_namespace n on n.oid = t.relnamespace
            where c.contype = 'f' and c.conrelid = pg_catalog.to_regclass('session_reaper.user_session')",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Refuses to take away what a service stands on that runs with other settings: a command that was given none finds
/// every table by the defaults, and would do so silently.
pub(in crate::schema) async fn forgets_nothing(
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
    match functions::in_force(client, DAEMON_ROLE).await? {
        Some(role) if settings.daemon_role.is_none() => Err(Error::ForgetsRole { role }),
        _ => Ok(()),
    }
}

/// Tells one site's names from another's. Types may change: see `keys`.
pub(in crate::schema) fn site_digest(site: &Site) -> String {
    let mut names = site.names();
    names.retain(|name, _| !name.ends_with("_type"));
    functions::digest(&format!("{names:?}"))
}
