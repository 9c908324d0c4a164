//! Which server's transaction ids are kept here. A dump brings those of another server along.

use tokio_postgres::GenericClient;

use crate::connection;

/// Gives ids of another server a meaning that holds here, before they are compared with this server's own.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn adopt_ids(client: &impl GenericClient) -> Result<(), connection::Error> {
    Ok(adopt(client).await?)
}

pub(super) async fn adopt(client: &impl GenericClient) -> Result<(), tokio_postgres::Error> {
    let row = client
        .query_one(
            "-- schema::origin::adopt
            select session_reaper.adopt_ids()",
            &[],
        )
        .await?;
    if row.get(0) {
        tracing::warn!(
            "this database was restored from a dump of another server; its sessions count as older than every change made here"
        );
    }
    Ok(())
}
