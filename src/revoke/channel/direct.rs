//! Whether a connection leads to the server itself, and not to a pooler in transaction mode.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Listening,
    heard::Heard,
    token::{Sent, send_token},
};
use crate::connection::{Error, Target};

/// Refuses a pooler in transaction mode. Finds it as the listener does: a token that is sent on another connection does
/// not arrive.
///
/// # Errors
/// That a pooler is in between, or that the database cannot be reached.
pub async fn check_direct(target: &Target, patience: Duration) -> Result<(), Error> {
    let mut listening = Listening::on(target.connect().await?, patience).await?;
    let (client, connection) = target.connect().await?;
    let driver = tokio::spawn(connection);
    let token = format!("{:016x}", fastrand::u64(..));
    // Before the token is sent, so that a pooler cannot deliver it during this round trip.
    listening.round_trip().await?;
    let sent = send_token(&client, &token, None).await?;
    drop(client);
    let _ = driver.await;
    if sent == Sent::NoRoom {
        return Ok(());
    }
    let deadline = Instant::now() + patience;
    loop {
        match listening.next(deadline).await? {
            Heard::Heartbeat(heard) if heard == token => return Ok(()),
            Heard::Nothing => break,
            _ => {}
        }
    }
    listening.stop_listening(patience).await?;
    let target = target.describe();
    Err(Error::Pooler { target })
}
