//! Takes everything out again. What there is to take out comes from the catalog and not from the settings: these may
//! have changed since, and the site's tables may be gone.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::{
    Error, act,
    lock::execute,
    objects::{functions, preconditions, rights::DAEMON_ROLE, triggers::Attached},
    state,
    turn::lock,
};
use crate::connection::Target;

/// The rights that `migrate` has granted outside our schema: with them, the role could go on reading every session key,
/// and could not be dropped.
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

/// Takes everything out again: triggers first, a table at a time, so that the site's tables never refer to what is
/// gone. Returns whether there was anything to take out; nothing is fine, too.
///
/// # Errors
/// A server that is read-only, a missing right, a lock that cannot be had.
pub async fn uninstall(target: &Target) -> Result<bool, Error> {
    act::on(target, async |client| uninstall_on(client).await).await
}

/// What [`uninstall`] would take out, a line each; nothing where it is not installed.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn what_is_installed(target: &Target) -> Result<Vec<String>, Error> {
    act::on(target, async |client| count_up(client).await).await
}

async fn count_up(client: &Client) -> Result<Vec<String>, Error> {
    if !state::has_schema(client).await? {
        return Ok(Vec::new());
    }
    preconditions::own_schema(client).await?;
    let attached = Attached::all(client).await?;
    let mut found: Vec<String> = attached.iter().map(Attached::describe).collect();
    let rows = client
        .query(
            "-- schema::uninstall::count_up
            select pg_catalog.format('table      session_reaper.%I, of about %s rows', c.relname,
                greatest(c.reltuples, 0)::bigint)
            from pg_catalog.pg_class c
            where c.relnamespace = 'session_reaper'::pg_catalog.regnamespace and c.relkind = 'r'
            order by c.relname",
            &[],
        )
        .await?;
    found.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    if state::has_table(client, "session_reaper.behaviour").await?
        && let Some(role) = functions::in_force(client, DAEMON_ROLE).await?
    {
        found.push(format!(
            "rights     of the role {role} on the site's tables"
        ));
    }
    found.push("schema     session_reaper, with its functions and views".to_owned());
    Ok(found)
}

async fn uninstall_on(client: &Client) -> Result<bool, Error> {
    state::server(client).await?;
    preconditions::own_schema(client).await?;
    lock(client).await?;
    let is_there = state::has_schema(client).await?;
    let attached = Attached::all(client).await?;
    for trigger in &attached {
        trigger.drop(client).await?;
    }
    let tables: Vec<u32> = attached.iter().map(|trigger| trigger.oid).collect();
    take_rights_back(client, &tables).await?;
    let what = "the tables that session_reaper references";
    // The site's tables before ours, in the order in which the app locks them.
    let names: BTreeSet<String> = attached.iter().map(Attached::table).collect();
    let lock: String = names
        .iter()
        .map(|name| format!("lock table {name} in access exclusive mode; "))
        .collect();
    let drop = format!("{lock}drop schema if exists session_reaper cascade");
    execute(client, &tables, what, &drop).await?;
    Ok(is_there)
}

async fn take_rights_back(client: &Client, tables: &[u32]) -> Result<(), Error> {
    if !state::has_table(client, "session_reaper.behaviour").await? {
        return Ok(());
    }
    let Some(role) = functions::in_force(client, DAEMON_ROLE).await? else {
        return Ok(());
    };
    for row in client.query(TAKE_RIGHTS_BACK, &[&role, &tables]).await? {
        let (select, usage): (&str, &str) = (row.get(0), row.get(1));
        client.batch_execute(&format!("{select}; {usage}")).await?;
    }
    Ok(())
}
