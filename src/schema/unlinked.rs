//! Sessions that are linked to no user: anonymous ones, and those that have not been read for their users.

use tokio_postgres::Client;

use super::{Error, Site, site::template::quote_identifier};

/// How many there are, for the operator. Looks at every session.
pub async fn count(client: &Client, site: &Site) -> Result<i64, Error> {
    let statement = format!(
        "-- schema::unlinked::count
        select count(*) from {} s
        where not exists (select from session_reaper.user_session l where l.session_key = s.{})",
        site.sessions.quoted(),
        quote_identifier(&site.session_key.name),
    );
    Ok(client.query_one(&statement, &[]).await?.get(0))
}

/// The same while some wait to be read, and zero once all have been.
pub async fn waiting(client: &Client, site: &Site) -> Result<i64, Error> {
    let row = client
        .query_one(
            "-- schema::unlinked::waiting
            select t.complete from session_reaper.backfill t",
            &[],
        )
        .await?;
    match row.get(0) {
        true => Ok(0),
        false => count(client, site).await,
    }
}
