//! Taking everything out again. What there is to take is asked of the catalog and not worked out from the
//! settings: these may have changed since, and the site's tables may be gone.

use tokio_postgres::Client;

use super::{
    Error, check,
    migrate::{LOCK_TRIES, lock, wait_for_turn},
    template::quote_identifier,
};
use crate::connection::{self, Target};

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
    lock(client).await?;
    for (table, trigger) in triggers(client).await? {
        let statement = format!("drop trigger if exists {trigger} on {table}");
        execute(client, &table, &statement).await?;
    }
    let what = "the tables that session_reaper references";
    execute(client, what, "drop schema if exists session_reaper cascade").await
}

/// The triggers on tables of the site that call a function of ours; tables and names quoted.
async fn triggers(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let rows = client
        .query(
            "-- schema::uninstall::triggers
            select n.nspname::text, c.relname::text, t.tgname::text
            from pg_catalog.pg_trigger t
            join pg_catalog.pg_class c on c.oid = t.tgrelid
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            join pg_catalog.pg_proc p on p.oid = t.tgfoid
            where p.pronamespace = pg_catalog.to_regnamespace('session_reaper')
              and c.relnamespace <> p.pronamespace
              and t.tgparentid = 0
            order by 1, 2, 3",
            &[],
        )
        .await?;
    let quoted = |row: &tokio_postgres::Row, place| quote_identifier(row.get(place));
    let trigger = |row| {
        let table = format!("{}.{}", quoted(row, 0), quoted(row, 1));
        (table, quoted(row, 2))
    };
    Ok(rows.iter().map(trigger).collect())
}

async fn execute(client: &Client, what: &str, statement: &str) -> Result<(), Error> {
    for attempt in 0..LOCK_TRIES {
        wait_for_turn(client, attempt).await?;
        match client.batch_execute(statement).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                let error = connection::Error::from(error);
                if !error.is_lock_timeout() {
                    return Err(error.into());
                }
            }
        }
    }
    Err(Error::Busy {
        what: what.to_owned(),
        tries: LOCK_TRIES,
    })
}
