//! Locks on the site's tables, taken without making other transactions queue behind us.

use std::time::Duration;

use tokio_postgres::Client;

use super::Error;
use crate::connection;

/// How often a lock on one of the site's tables is tried for before that is an error. Commands begin anew for a minute:
/// if a busy site grants no lock for ten seconds, a pause that could not end keeps sessions alive that should have
/// ended.
pub const LOCK_TRIES: u32 = 20;

/// Rests before another try for locks on these tables, and sets how long that try may wait: hardly at all at first,
/// because the app's statements queue behind it. Where some transaction always has the table, only a queue makes such
/// transactions end, so the last tries wait longer. The wait is always shorter than `deadlock_timeout`: if we and the
/// app wait for each other, we give up, and none of the app's statements is the deadlock's victim (P6).
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

/// 50 for most tries; over the last ones it doubles every few tries, up to 400.
fn wait_ms(attempt: u32) -> i32 {
    let doubled = (attempt.saturating_sub(LOCK_TRIES / 2) / 3).min(3);
    50 << doubled
}

/// An autovacuum may hold a table for hours; only a waiter that looks for a deadlock, after `deadlock_timeout`, cancels
/// it. So this waits longer than that, holds nothing, and uses a mode that keeps none of the app's statements waiting.
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

/// Autovacuum workers are recognised by having no user: their other details are not shown to every role.
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

/// Executes statements that lock these tables, in their own single transaction; `what` is what to call them.
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

/// A lock that could not be had is worth another try; anything else the operator has to mend.
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
