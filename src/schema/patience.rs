//! Locks on the site's tables, taken without anybody having to queue behind us.

use std::time::Duration;

use tokio_postgres::Client;

use super::Error;
use crate::connection;

/// How often a lock on a table of the site is tried for.
pub const LOCK_TRIES: u32 = 20;

/// Most tries give up almost at once, so that nobody queues behind them. Every fourth waits for longer than
/// `deadlock_timeout` (1 s by default), since only a waiter that is in a deadlock check cancels an autovacuum.
fn lock_timeout_ms(attempt: u32) -> u32 {
    if attempt % 4 == 3 { 3000 } else { 50 }
}

/// Rests before another try, and sets how long that one may wait.
pub async fn wait_for_turn(client: &Client, attempt: u32) -> Result<(), Error> {
    if attempt > 0 {
        let pause = 200 + fastrand::u64(0..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let timeout = lock_timeout_ms(attempt);
    client
        .batch_execute(&format!("set lock_timeout = '{timeout}ms'"))
        .await?;
    Ok(())
}

/// Executes statements that lock `what`, in one transaction of their own.
pub async fn execute(client: &Client, what: &str, statements: &str) -> Result<(), Error> {
    for attempt in 0..LOCK_TRIES {
        wait_for_turn(client, attempt).await?;
        match client.batch_execute(statements).await {
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
