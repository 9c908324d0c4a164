//! Locks on the site's tables, taken without anybody having to queue behind us.

use std::time::Duration;

use tokio_postgres::Client;

use super::Error;
use crate::connection;

/// How often a lock on a table of the site is tried for, until that is an error. Commands begin anew for a minute: a pause
/// that is not over, because a busy site let nobody in for ten seconds, keeps sessions alive that should have ended.
pub const LOCK_TRIES: u32 = 20;

/// Rests before another try for locks on these tables, and sets how long that one may wait: hardly at all at first, because
/// the app's statements queue behind it. Where some transaction always has the table, only a queue makes them end, so the
/// last tries wait longer. And always less than `deadlock_timeout`: where we and the app wait for each other, we are the ones
/// who give up, and no statement of the app's is the deadlock's victim (P6).
pub async fn wait_for_turn(client: &Client, tables: &[u32], attempt: u32) -> Result<(), Error> {
    if attempt > 0 {
        let pause = 200 + fastrand::u64(0..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    if attempt % 2 == 1 {
        drive_autovacuum_off(client, tables).await?;
    }
    client
        .execute(
            "-- schema::lock::wait_for_turn
            select pg_catalog.set_config('lock_timeout', least($1, greatest(1, s.setting::integer / 2)) || 'ms', false)
            from pg_catalog.pg_settings s
            where s.name = 'deadlock_timeout'",
            &[&wait_ms(attempt)],
        )
        .await?;
    Ok(())
}

/// 50 for most tries, and twice as much for each few of the last, up to 400.
fn wait_ms(attempt: u32) -> i32 {
    let doubled = (attempt.saturating_sub(LOCK_TRIES / 2) / 3).min(3);
    50 << doubled
}

/// Only a waiter that looks for a deadlock, after `deadlock_timeout`, cancels an autovacuum, which may otherwise hold a table
/// for hours. So this waits longer than that, holding nothing, in a mode that keeps no statement of the app's waiting.
pub async fn drive_autovacuum_off(client: &Client, tables: &[u32]) -> Result<(), Error> {
    if !autovacuum_holds(client, tables).await? {
        return Ok(());
    }
    client
        .batch_execute(
            "-- schema::lock::drive_autovacuum_off
            select pg_catalog.set_config('lock_timeout', (s.setting::integer + 2000) || 'ms', false)
            from pg_catalog.pg_settings s
            where s.name = 'deadlock_timeout'",
        )
        .await?;
    for table in tables {
        let lock = format!(
            "do $$ begin
                execute pg_catalog.format('lock table %s in share update exclusive mode', {table}::pg_catalog.regclass);
            end $$"
        );
        match client
            .batch_execute(&lock)
            .await
            .map_err(connection::Error::from)
        {
            Err(error) if !error.is_lost_lock() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Autovacuum workers are told by having no user: what else they are is not shown to every role.
async fn autovacuum_holds(client: &Client, tables: &[u32]) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::lock::autovacuum_holds
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
                if !error.is_lost_lock() {
                    return Err(error.into());
                }
            }
        }
    }
    Err(Error::Busy {
        what: what.to_owned(),
    })
}

/// A lock that was not to be had is worth another try; anything else is the operator's to mend.
pub fn retry_or_fail(error: refinery::Error) -> Result<(), Error> {
    use std::error::Error as _;
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<tokio_postgres::Error>() {
            let code = cause.code();
            if code.is_some_and(connection::is_lost_lock) {
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
