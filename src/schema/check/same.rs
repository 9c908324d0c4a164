//! Whether the settings match those of the installation.

use tokio_postgres::Client;

use crate::schema::{
    Error, Site,
    objects::{functions, rights::DAEMON_ROLE, triggers},
    state::has_table,
};
use crate::settings::{self, Cached};

/// Tables other than those of the installation would be swept by functions that know the old ones.
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

/// Refuses to take away what a service with other settings depends on: a command without settings finds every table by
/// the defaults, and would take it away silently.
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
    if let Some(role) = functions::in_force(client, DAEMON_ROLE).await?
        && settings.daemon_role.is_none()
    {
        return Err(Error::ForgetsRole { role });
    }
    if let [first, ..] = &roles_that_link(client).await?[..]
        && settings.app_roles.is_empty()
    {
        return Err(Error::ForgetsApp {
            role: first.clone(),
        });
    }
    Ok(())
}

/// The settings, with the roles of the installation where they name none: a program that pauses and resumes around a
/// migration, such as Django's `migrate`, need not know them. A pause that could not be ended would keep sessions alive
/// that should end, and an app that had lost its rights could log nobody in.
pub(in crate::schema) async fn with_installed_roles(
    client: &Client,
    settings: &settings::Site,
) -> Result<settings::Site, Error> {
    let mut settings = settings.clone();
    if !has_table(client, "session_reaper.behaviour").await? {
        return Ok(settings);
    }
    if settings.daemon_role.is_none() {
        settings.daemon_role = functions::in_force(client, DAEMON_ROLE).await?;
    }
    if settings.app_roles.is_empty() {
        settings.app_roles = roles_that_link(client).await?;
    }
    Ok(settings)
}

/// The roles that may link a session: beside the owner, only an app may.
async fn roles_that_link(client: &Client) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "-- schema::check::same::roles_that_link
            select distinct r.rolname::text
            from pg_catalog.pg_proc p
            cross join lateral pg_catalog.aclexplode(p.proacl) a
            join pg_catalog.pg_roles r on r.oid = a.grantee
            where p.pronamespace = pg_catalog.to_regnamespace('session_reaper')
              and p.proname = 'link_session'
              and a.grantee <> p.proowner
            order by 1",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Distinguishes one site's names from another's. Types may change: see `objects::key_types`.
pub(in crate::schema) fn site_digest(site: &Site) -> String {
    let mut names = site.names();
    names.retain(|name, _| !name.ends_with("_type"));
    functions::digest(&format!("{names:?}"))
}
