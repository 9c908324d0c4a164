//! The site's database on the throw-away server, and the way into it.

use tokio_postgres::{Client, NoTls};

use super::error::Error;

/// Its name.
pub const NAME: &str = "demo";

/// Creates it on a new server.
pub async fn create(url: &str) -> Result<(), Error> {
    let client = connect(url, "demo-setup").await?;
    client
        .batch_execute(&format!("create database {NAME}"))
        .await?;
    Ok(())
}

/// Opens another connection, for a scene that needs one more transaction.
pub async fn connect(url: &str, application_name: &str) -> Result<Client, Error> {
    let url = format!("{url}&application_name={application_name}");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    // It ends with the client; a failure shows up there, too.
    tokio::spawn(connection);
    Ok(client)
}
