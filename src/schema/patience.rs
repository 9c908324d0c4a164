//! Locks on the site's tables, taken without anybody having to queue behind us.

use std::time::Duration;

use tokio_postgres::Client;

use super::Error;
use crate::connection;

/// How often a lock on a table of the site is tried for.
pub const LOCK_TRIES: u32 = 20;

/// A try gives up almost at once, so that nobody queues behind it for longer.
const PATIENCE_MS: u32 = 50;

/// Longer than `deadlock_timeout` (1 s by default), since only a waiter that is in a deadlock check cancels an
/// autovacuum, which otherwise may hold a table for hours.
const PATIENCE_WITH_AUTOVACUUM_MS: u32 = 3000;

/// Rests before another try for locks on these tables, and sets how long that one may wait.
pub async fn wait_for_turn(client: &Client, tables: &[u32], attempt: u32) -> Result<(), Error> {
    if attempt > 0 {
        let pause = 200 + fastrand::u64(0..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let timeout = if attempt % 2 == 1 && autovacuum_holds(client, tables).await? {
        PATIENCE_WITH_AUTOVACUUM_MS
    } else {
        PATIENCE_MS
    };
    client
        .batch_execute(&format!("set lock_timeout = '{timeout}ms'"))
        .await?;
    Ok(())
}

/// Autovacuum workers are told by having no user: what else they are is not shown to every role.
async fn autovacuum_holds(client: &Client, tables: &[u32]) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::patience::autovacuum_holds
            select exists (
                select
                from pg_catalog.pg_locks l
                cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
                where l.locktype = 'relation'
                  and l.granted
                  and l.relation = any ($1)
                  and l.database = (
                    select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
                  and a.usesysid is null)",
            &[&tables],
        )
        .await?;
    Ok(row.get(0))
}

/// Executes statements that lock these tables, in one transaction of their own; `what` is what to call them.
pub async fn execute(
    client: &Client,
    tables: &[u32],
    what: &str,
    statements: &str,
) -> Result<(), Error> {
    for attempt in 0..LOCK_TRIES {
        wait_for_turn(client, tables, attempt).await?;
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

/// A lock that was not to be had is worth another try; anything else is the operator's to mend.
pub fn retry_or_fail(error: refinery::Error) -> Result<(), Error> {
    use std::error::Error as _;
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<tokio_postgres::Error>() {
            let code = cause.code();
            if code == Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE) {
                return Ok(());
            }
            let message = cause.as_db_error().map_or_else(
                || "the connection was lost".to_owned(),
                |db| db.message().to_owned(),
            );
            return Err(Error::Migration { message });
        }
        source = cause.source();
    }
    Err(Error::Migration {
        message: error.to_string(),
    })
}
