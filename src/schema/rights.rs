//! Who may do what. Nothing is granted to everybody: a role that can read `revoked_key` or
//! `user_session` holds bearer credentials (P7), and one that can mark revocations counts as a daemon (P4).

use tokio_postgres::Client;

use super::{Error, Site, behaviour, check::DAEMON_ROLE, template::quote_identifier, triggers};
use crate::settings;

/// Takes away what PUBLIC has by PostgreSQL's own defaults, and anybody else by the site's default privileges: a role
/// for reports must not find itself with every session key. Whoever may look at `live_session` may go on.
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
                where c.relnamespace = 'session_reaper'::regnamespace and c.relkind = 'r'
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
                where c.relnamespace = 'session_reaper'::regnamespace and c.relkind = 'r');
        end loop;
    end
    $$";

/// Refuses a role that would get stuck half-way: it would leave a schema behind that the right role cannot use.
pub async fn check(client: &Client, site: &Site) -> Result<(), Error> {
    let triggers = triggers::wanted(site);
    let watched = triggers.iter().map(|trigger| trigger.table);
    let tables: Vec<u32> = [&site.sessions, &site.users]
        .into_iter()
        .chain(watched)
        .map(|table| table.oid)
        .collect();
    let foreign = client
        .query_opt(
            "-- schema::rights::check
            select current_user::text, o.what, pg_catalog.pg_get_userbyid(o.owner)::text
            from (
                select 1, n.nspname || '.' || c.relname, c.relowner
                from pg_catalog.pg_class c
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where c.oid = any ($1)
                union all
                select 2, 'the schema ' || n.nspname, n.nspowner
                from pg_catalog.pg_namespace n
                where n.nspname = 'session_reaper'
            ) as o (place, what, owner)
            where not pg_catalog.pg_has_role(o.owner, 'usage')
            order by o.place, o.what
            limit 1",
            &[&tables],
        )
        .await?;
    match foreign {
        Some(row) => Err(Error::NotOwner {
            role: row.get(0),
            what: row.get(1),
            owner: row.get(2),
        }),
        None => may_create(client).await,
    }
}

/// Refuses to begin where a role that is to be given rights does not exist.
pub async fn roles_exist(client: &Client, settings: &settings::Site) -> Result<(), Error> {
    let daemon = settings
        .daemon_role
        .iter()
        .map(|role| ("site.daemon_role", role));
    let apps = settings
        .app_roles
        .iter()
        .map(|role| ("site.app_roles", role));
    for (setting, role) in daemon.chain(apps) {
        let row = client
            .query_one(
                "-- schema::rights::roles_exist
                select exists (select from pg_catalog.pg_roles r where r.rolname = $1::text)",
                &[role],
            )
            .await?;
        if !row.get::<_, bool>(0) {
            let role = role.clone();
            return Err(Error::NoRole { setting, role });
        }
    }
    Ok(())
}

/// Refuses a role that does not own what is installed; where nothing is, anybody will do.
pub async fn own_schema(client: &Client) -> Result<(), Error> {
    let foreign = client
        .query_opt(
            "-- schema::rights::own_schema
            select current_user::text, pg_catalog.pg_get_userbyid(n.nspowner)::text
            from pg_catalog.pg_namespace n
            where n.nspname = 'session_reaper' and not pg_catalog.pg_has_role(n.nspowner, 'usage')",
            &[],
        )
        .await?;
    match foreign {
        Some(row) => Err(Error::NotOwner {
            role: row.get(0),
            what: "the schema session_reaper".to_owned(),
            owner: row.get(1),
        }),
        None => Ok(()),
    }
}

async fn may_create(client: &Client) -> Result<(), Error> {
    let row = client
        .query_one(
            "-- schema::rights::may_create
            select pg_catalog.to_regnamespace('session_reaper') is not null
                or pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'),
                pg_catalog.quote_ident(current_user), pg_catalog.quote_ident(pg_catalog.current_database())",
            &[],
        )
        .await?;
    if row.get(0) {
        return Ok(());
    }
    Err(Error::NoCreate {
        role: row.get(1),
        database: row.get(2),
    })
}

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
            .batch_execute(&for_daemon(&quote_identifier(role), site))
            .await?;
        behaviour::remember(&transaction, DAEMON_ROLE, role).await?;
    }
    for role in &settings.app_roles {
        transaction
            .batch_execute(&for_app(&quote_identifier(role)))
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Sessions are deleted by functions that run as their owner. `purge --dry-run` counts them by itself, and what SQL cannot
/// read of a session the daemon does.
fn for_daemon(role: &str, site: &Site) -> String {
    let expires = site.expires.as_ref().map(|expiry| &expiry.column);
    let columns: Vec<String> = [Some(&site.session_key), expires, site.reading.column()]
        .into_iter()
        .flatten()
        .map(|column| quote_identifier(&column.name))
        .collect();
    format!(
        "grant usage on schema session_reaper to {role};
        grant select, insert, update, delete on all tables in schema session_reaper to {role};
        grant execute on all functions in schema session_reaper to {role};
        grant usage on schema {schema} to {role};
        grant select ({columns}) on {sessions} to {role}",
        schema = quote_identifier(&site.sessions.schema),
        columns = columns.join(", "),
        sessions = site.sessions.quoted(),
    )
}

/// An app may link, ask for revocations and read its own links; never the keys that wait to be ended.
fn for_app(role: &str) -> String {
    format!(
        "grant usage on schema session_reaper to {role};
        grant select, insert (session_key, user_id, credential_version), update (user_id, credential_version), delete
            on session_reaper.user_session to {role};
        grant select on session_reaper.live_session to {role};
        grant execute on function session_reaper.link_session, session_reaper.credential_version,
            session_reaper.revoke_user, session_reaper.revoke_session, session_reaper.revoke_all,
            session_reaper.is_served to {role}"
    )
}
