//! The one way in for acts that change the schema: each has its own connection, which ends with the act.

use tokio_postgres::Client;

use super::Error;
use crate::connection::Target;

/// Runs an act on its own connection. When that ends, every lock that the act took is released.
pub(super) async fn on<T>(
    target: &Target,
    act: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let (mut client, connection) = target.connect().await?;
    let driver = tokio::spawn(connection);
    let result = act(&mut client).await;
    // Dropping the client ends the connection.
    drop(client);
    let _ = driver.await;
    result
}
