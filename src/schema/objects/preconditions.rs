//! Which roles have to exist, and which rights the installing role needs, before anything is changed.

use tokio_postgres::Client;

use super::triggers;
use crate::schema::{Error, Site};
use crate::settings;

/// Refuses a role that would get stuck half-way: it would leave a schema behind that the right role cannot use.
pub async fn require(client: &Client, site: &Site) -> Result<(), Error> {
    let triggers = triggers::wanted(site);
    let watched = triggers.iter().map(|trigger| trigger.table);
    let tables: Vec<u32> = [&site.sessions, &site.users]
        .into_iter()
        .chain(watched)
        .map(|table| table.oid)
        .collect();
    let foreign = client
        .query_opt(
            "-- schema::objects::preconditions::require
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
                "-- schema::objects::preconditions::roles_exist
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

/// Refuses a role that does not own what is installed; where nothing is installed, any role will do.
pub async fn own_schema(client: &Client) -> Result<(), Error> {
    let foreign = client
        .query_opt(
            "-- schema::objects::preconditions::own_schema
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
            "-- schema::objects::preconditions::may_create
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
