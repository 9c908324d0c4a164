//! Waiting for a lock on a table that every login needs, without making the logins wait.

use std::time::Duration;

use tokio_postgres::Client;

use super::{Error, Site};

/// A try gives up almost at once, so that nobody queues behind it for longer.
const PATIENCE_MS: u32 = 50;

/// Longer than `deadlock_timeout` (1 s by default), since only a waiter that is in a deadlock check cancels an
/// autovacuum, which otherwise may hold a table for hours.
const PATIENCE_WITH_AUTOVACUUM_MS: u32 = 3000;

/// Rests before every try but the first, and sets how long the next one waits for its lock.
pub async fn wait_for_turn(client: &Client, site: &Site, attempt: u32) -> Result<(), Error> {
    if attempt > 0 {
        let pause = 200 + fastrand::u64(0..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let timeout = if attempt % 2 == 1 && autovacuum_holds(client, site).await? {
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
async fn autovacuum_holds(client: &Client, site: &Site) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::migrate::autovacuum_holds
            select exists (
                select
                from pg_catalog.pg_locks l
                cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
                where l.locktype = 'relation'
                  and l.granted
                  and l.relation in ($1, $2)
                  and l.database = (
                    select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
                  and a.usesysid is null)",
            &[&site.sessions.oid, &site.users.oid],
        )
        .await?;
    Ok(row.get(0))
}
