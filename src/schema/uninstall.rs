//! Taking everything out again. What there is to take is asked of the catalog and not worked out from the
//! settings: these may have changed since, and the site's tables may be gone.

use tokio_postgres::Client;

use super::{Error, check, migrate::lock, patience::execute, triggers::Attached};
use crate::connection::Target;

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
    let attached = Attached::all(client).await?;
    for trigger in &attached {
        trigger.drop(client).await?;
    }
    let tables: Vec<u32> = attached.iter().map(|trigger| trigger.oid).collect();
    let what = "the tables that session_reaper references";
    execute(
        client,
        &tables,
        what,
        "drop schema if exists session_reaper cascade",
    )
    .await
}
