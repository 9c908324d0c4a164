//! What a daemon finds out about the database before it does anything else over a new connection: behind the same
//! address there may be another server by now, or a database that is being restored from a dump.

use tokio_postgres::{Client, error::SqlState};

use super::{Site, origin::adopt};
use crate::connection::{Answer, Database, Error, Target};

/// Our tables that have an index.
const OURS: [&str; 23] = [
    "backfill",
    "behaviour",
    "canary",
    "change",
    "daemon",
    "drain",
    "eviction",
    "hash_check",
    "horizon",
    "opened_anonymous",
    "origin",
    "page",
    "pause",
    "paused_request",
    "pending_eviction",
    "purge",
    "revocation",
    "revoked_key",
    "tally",
    "trouble",
    "unreadable",
    "user_session",
    "walk",
];

/// The database for a daemon, which works there only while the database is whole, and with this server's own
/// transaction ids.
///
/// # Errors
/// When the pool of connections cannot be set up.
pub(crate) fn database(target: &Target, site: &Site) -> Result<Database, Error> {
    let ours = OURS.map(|table| ("session_reaper", table));
    let theirs = [&site.sessions, &site.users].map(|table| (&*table.schema, &*table.name));
    let tables = ours.into_iter().chain(theirs);
    let names = tables.map(|(schema, table)| (schema.to_owned(), table.to_owned()));
    let (schemas, tables): (Vec<String>, Vec<String>) = names.unzip();
    target.database_if(Box::new(move |client| -> Answer<'_> {
        let (schemas, tables) = (schemas.clone(), tables.clone());
        Box::pin(async move {
            let is_whole = is_whole(client, &schemas, &tables).await?;
            if !is_whole {
                return Ok(false);
            }
            match adopt(client).await {
                // The listener reports that, and does not serve; the code that looks for the missing right needs a
                // connection.
                Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(true),
                adopted => adopted.map(|()| true),
            }
        })
    }))
}

/// A dump brings indexes after all rows, then triggers, and foreign keys last. Until then, our new rows would be in the
/// way of rows that are still to come, a revocation would settle without sessions that have not arrived (P1), and a
/// deleted session would neither take its link along nor be noted for the cache. Only the foreign keys from one of our
/// tables to another are checked: a migration of the site's may have taken the others along, and then the daemon still
/// does what it can.
///
/// By names and not by `to_regclass`, which needs a right in each schema.
async fn is_whole(
    client: &Client,
    schemas: &[String],
    tables: &[String],
) -> Result<bool, tokio_postgres::Error> {
    let row = client
        .query_one(
            "-- schema::arrival::is_whole
            with found as (
                select n.nspname, c.relname, c.relhasindex
                from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) t (schema_name, table_name)
                join pg_catalog.pg_namespace n on n.nspname = t.schema_name
                join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.table_name
            )
            select coalesce(bool_and(f.relhasindex), false)
               and count(*) filter (where f.relname = 'user_session' and f.nspname = 'session_reaper') = 1
               and (
                select count(*)
                from pg_catalog.pg_constraint k
                join pg_catalog.pg_namespace n on n.oid = k.connamespace
                where n.nspname = 'session_reaper'
                  and k.conname in ('revoked_key_revocation_id_fkey', 'walk_revocation_id_fkey')) = 2
            from found f",
            &[&schemas, &tables],
        )
        .await?;
    Ok(row.get(0))
}
