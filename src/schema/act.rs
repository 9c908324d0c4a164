//! One way in for what changes the schema: a connection of its own, which ends with the act.

use tokio_postgres::Client;

use super::Error;
use crate::connection::Target;

/// Acts on a connection of its own. Its end gives back every lock that the act took.
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
