//! Which role may do what. Nothing is granted to everybody: a role that can read `revoked_key` or `user_session` holds
//! bearer credentials (P7), and one that can mark revocations counts as a daemon (P4).

use tokio_postgres::Client;

use super::{duties::Duties, functions};
use crate::schema::{Error, Site, site::template::quote_identifier};
use crate::settings;

/// The name under which the role that was given a daemon's rights is remembered.
pub(in crate::schema) const DAEMON_ROLE: &str = "daemon_role";

/// Takes away what PUBLIC has by PostgreSQL's own defaults, and what other roles have by the site's default privileges:
/// a role for reports must not end up with every session key. Roles that may look at `live_session` keep that right.
const INTERNAL: &str = "
    revoke all on all functions in schema session_reaper from public;
    revoke all on all tables in schema session_reaper from public;
    do $$
    declare
        stranger regrole;
    begin
        for stranger in
            select distinct g.grantee::regrole
            from (
                select c.relowner as owner, a.grantee
                from pg_catalog.pg_class c
                cross join lateral pg_catalog.aclexplode(c.relacl) a
                where c.relnamespace = 'session_reaper'::regnamespace and (c.relkind = 'r' or c.relname = 'hash_key')
                union all
                select p.proowner, a.grantee
                from pg_catalog.pg_proc p
                cross join lateral pg_catalog.aclexplode(p.proacl) a
                where p.pronamespace = 'session_reaper'::regnamespace
            ) g
            where g.grantee <> g.owner and g.grantee <> 0
        loop
            execute pg_catalog.format('revoke all on all functions in schema session_reaper from %s', stranger);
            execute (
                select pg_catalog.string_agg(
                    pg_catalog.format('revoke all on table %s from %s', c.oid::regclass, stranger), '; ')
                from pg_catalog.pg_class c
                where c.relnamespace = 'session_reaper'::regnamespace and (c.relkind = 'r' or c.relname = 'hash_key'));
        end loop;
    end
    $$";

/// Grants the daemon and the app what the settings ask for, and takes everything else from PUBLIC.
pub async fn grant(
    client: &mut Client,
    site: &Site,
    settings: &settings::Site,
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(INTERNAL).await?;
    if let Some(role) = &settings.daemon_role {
        transaction
            .batch_execute(&for_daemon(role, site, settings))
            .await?;
        functions::remember(&transaction, DAEMON_ROLE, role).await?;
    }
    for role in &settings.app_roles {
        transaction
            .batch_execute(&for_app(&quote_identifier(role)))
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// What [`grant`] runs, for the operator to read.
pub fn sql(site: &Site, settings: &settings::Site) -> String {
    let daemon = settings.daemon_role.iter();
    let daemon = daemon.map(|role| for_daemon(role, site, settings));
    let apps = settings.app_roles.iter();
    let apps = apps.map(|role| for_app(&quote_identifier(role)));
    let all: Vec<String> = [INTERNAL.to_owned()]
        .into_iter()
        .chain(daemon)
        .chain(apps)
        .collect();
    all.join(";\n")
}

/// Its [`Duties`], and rights on the site's own tables: `purge --dry-run` counts sessions by itself, and the daemon
/// reads what SQL cannot read of a session.
fn for_daemon(role: &str, site: &Site, settings: &settings::Site) -> String {
    let expires = site.expires.as_ref().map(|expiry| &expiry.column);
    let columns: Vec<String> = [Some(&site.session_key), expires, site.user_source.column()]
        .into_iter()
        .flatten()
        .map(|column| quote_identifier(&column.name))
        .collect();
    format!(
        "{duties}grant usage on schema {schema} to {role};
        grant select ({columns}) on {sessions} to {role}",
        duties = Duties::of(settings).grant_to(role),
        role = quote_identifier(role),
        schema = quote_identifier(&site.sessions.schema),
        columns = columns.join(", "),
        sessions = site.sessions.quoted(),
    )
}

/// An app may link only by the function, ask for revocations, and read links and the trail, but never the keys that
/// wait to be ended. The links tell it nothing that it could not read in its own sessions.
fn for_app(role: &str) -> String {
    format!(
        "grant usage on schema session_reaper to {role};
        grant select on session_reaper.user_session, session_reaper.live_session, session_reaper.change_trail,
            session_reaper.revocation_trail to {role};
        grant execute on function session_reaper.link_session, session_reaper.credential_version,
            session_reaper.revoke_user, session_reaper.revoke_session, session_reaper.revoke_session_of,
            session_reaper.revoke_all,
            session_reaper.is_served to {role}"
    )
}
