//! Taking everything out again. What there is to take is asked of the catalog and not worked out from the
//! settings: these may have changed since, and the site's tables may be gone.

use tokio_postgres::Client;

use super::{
    Error, behaviour,
    check::{self, DAEMON_ROLE},
    patience::execute,
    rights,
    triggers::Attached,
    turn::lock,
};
use crate::connection::Target;

/// What `migrate` has granted outside our schema: with it, the role could go on reading every session key, and could not be
/// dropped.
const TAKE_RIGHTS_BACK: &str = "-- schema::uninstall::take_rights_back
    select
        pg_catalog.format('revoke select on %s from %I', a.attrelid::regclass, r.rolname),
        pg_catalog.format('revoke usage on schema %I from %I', n.nspname, r.rolname)
    from pg_catalog.pg_attribute a
    cross join lateral pg_catalog.aclexplode(a.attacl) g
    join pg_catalog.pg_roles r on r.oid = g.grantee
    join pg_catalog.pg_class c on c.oid = a.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where r.rolname = $1::text
      and a.attrelid = any ($2)
    group by a.attrelid, r.rolname, n.nspname";

/// Takes everything out again: triggers first, a table at a time, so that the site's tables never refer to
/// what is gone. Nothing to take out is fine.
///
/// # Errors
/// A server that is read-only, a missing right, a lock that is not to be had.
pub async fn uninstall(target: &Target) -> Result<(), Error> {
    let (client, connection) = target.connect().await?;
    let driver = tokio::spawn(connection);
    let result = uninstall_on(&client).await;
    // Dropping the client ends the connection, and with it the advisory lock.
    drop(client);
    let _ = driver.await;
    result
}

async fn uninstall_on(client: &Client) -> Result<(), Error> {
    check::server(client).await?;
    rights::own_schema(client).await?;
    lock(client).await?;
    let attached = Attached::all(client).await?;
    for trigger in &attached {
        trigger.drop(client).await?;
    }
    let tables: Vec<u32> = attached.iter().map(|trigger| trigger.oid).collect();
    take_rights_back(client, &tables).await?;
    let what = "the tables that session_reaper references";
    execute(
        client,
        &tables,
        what,
        "drop schema if exists session_reaper cascade",
    )
    .await
}

async fn take_rights_back(client: &Client, tables: &[u32]) -> Result<(), Error> {
    if !check::has_table(client, "session_reaper.behaviour").await? {
        return Ok(());
    }
    let Some(role) = behaviour::in_force(client, DAEMON_ROLE).await? else {
        return Ok(());
    };
    for row in client.query(TAKE_RIGHTS_BACK, &[&role, &tables]).await? {
        let (select, usage): (&str, &str) = (row.get(0), row.get(1));
        client.batch_execute(&format!("{select}; {usage}")).await?;
    }
    Ok(())
}
