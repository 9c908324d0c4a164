//! Whose turn it is to change the schema: refinery takes no lock itself, and at first there is no table whose row could
//! be locked.

use std::time::Duration;

use tokio_postgres::Client;

use super::{Error, LOCK_CLASS};
use crate::connection;

/// Held while the schema is changed: refinery takes no lock itself, and at first there is no table whose row could be
/// locked.
pub(super) const MIGRATING_LOCK: i32 = 2;

/// Longer than an installation takes on a busy site, so that each of many that start together gets its turn.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// How long a look at one of the site's tables waits for another transaction's lock: without an end, a command would
/// print nothing, and every other command would wait for its turn behind it.
const PATIENCE: Duration = Duration::from_secs(3);

/// The second command waits until the first has finished.
pub async fn lock(client: &Client) -> Result<(), Error> {
    lock_within(client, LONGEST_TURN).await
}

/// The same with another patience, for tests. There has to be an end, since any role can take this lock and keep it. What
/// is done under it may take its time.
///
/// # Errors
/// That another session or transaction kept the lock for so long, and who holds it.
#[doc(hidden)]
pub async fn lock_within(client: &Client, patience: Duration) -> Result<(), Error> {
    let lock = format!(
        "set statement_timeout = 0; set lock_timeout = {};
        select pg_catalog.pg_advisory_lock({LOCK_CLASS}, {MIGRATING_LOCK})",
        patience.as_millis()
    );
    if let Err(error) = client.batch_execute(&lock).await {
        let error = connection::Error::from(error);
        return Err(if error.is_lock_timeout() {
            in_the_way(client, patience).await?
        } else {
            error.into()
        });
    }
    client
        .batch_execute(&format!("set lock_timeout = {}", PATIENCE.as_millis()))
        .await?;
    Ok(())
}

async fn in_the_way(client: &Client, patience: Duration) -> Result<Error, Error> {
    let row = client
        .query_opt(
            "-- schema::turn::in_the_way
            select l.pid, pg_catalog.pg_get_userbyid(a.usesysid)::text
            from pg_catalog.pg_locks l
            cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
            where l.locktype = 'advisory'
              and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
              and l.classid = $1::integer::oid
              and l.objid = $2::integer::oid
              and l.objsubid = 2
              and l.granted
              and l.pid is not null
            limit 1",
            &[&LOCK_CLASS, &MIGRATING_LOCK],
        )
        .await?;
    let holder = row.map_or_else(
        || {
            "a prepared transaction (see pg_prepared_xacts), or one that has just let go, held"
                .to_owned()
        },
        |row| {
            let (pid, role): (i32, String) = (row.get(0), row.get(1));
            format!("process {pid} of the role {role} holds")
        },
    );
    let waited_s = patience.as_secs();
    Ok(Error::Turn { holder, waited_s })
}
