//! A table of links that is built beside `session_reaper.user_session` and takes its place whole. Checking a million
//! links one by one against two tables would cost the server four times as much.
//!
//! Whatever interrupts it, the table that others see is the old one or the new one. It may leave over a table that
//! nothing looks at; every command that changes the schema takes that away.

mod obstacle;

use tokio_postgres::Client;

use super::{foreign_keys, functions, preconditions};
pub use obstacle::Obstacle;

use crate::schema::{Error, LOCK_CLASS, Site, lock, site::catalog, state, turn::MIGRATING_LOCK};

/// The new table while it is being built, and the old one after it has been replaced. `create.sql` and the others know
/// these names, too.
const LEFT_OVERS: [&str; 2] = [
    "session_reaper.user_session_built",
    "session_reaper.user_session_replaced",
];

/// At most so many rows are moved while no other transaction can look at the links, which takes tenths of a second
/// (P6).
const MOST_MOVED: i64 = 20_000;

/// A range of so many blocks has some thousand sessions, and is read in a hundredth of a second.
const RANGE_BLOCKS: i64 = 256;

/// Where the sessions that are to be linked are stored.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// How many are read in one statement.
    pub in_range: i64,
    /// The table that is replaced.
    links: u32,
}

/// Keeps all others off the schema until this connection ends; false if another connection is changing it already.
pub async fn claim(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::objects::replacement::claim
            select pg_catalog.pg_try_advisory_lock($1, $2)",
            &[&LOCK_CLASS, &MIGRATING_LOCK],
        )
        .await?;
    Ok(row.get(0))
}

/// Whether it can be built here and is worth it: at least so many sessions to link, and few that are linked or queued.
/// Refuses a role that could not finish it.
pub async fn may_be(
    client: &Client,
    site: &Site,
    least: i64,
) -> Result<Result<Blocks, Obstacle>, Error> {
    preconditions::require(client, site).await?;
    catalog::require_no_row_security(client, &site.sessions).await?;
    if !functions::differing(client, site).await?.is_empty() {
        return Ok(Err(Obstacle::Functions));
    }
    if !is_replaceable(client).await? {
        return Ok(Err(Obstacle::Dependent));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is compared with an estimate"
    )]
    let least = least as f64;
    let row = client
        .query_one(
            include_str!("may_be.sql"),
            &[&site.sessions.oid, &least, &MOST_MOVED, &RANGE_BLOCKS],
        )
        .await?;
    Ok(match row.get(2) {
        None => Ok(Blocks {
            in_range: row.get(0),
            links: row.get(1),
        }),
        Some(name) => Err(Obstacle::called(name)),
    })
}

/// Takes away what an interrupted run may have left: the foreign keys first, one of the site's tables at a time.
pub async fn drop_left_overs(client: &Client) -> Result<(), Error> {
    for name in LEFT_OVERS {
        if state::has_table(client, name).await? {
            foreign_keys::drop_all(client, name).await?;
            lock::execute(client, &[], name, &format!("drop table {name}")).await?;
        }
    }
    Ok(())
}

/// Opens the transaction that [`put_in_place`] needs. Returns its snapshot, so that others see the same, and how many
/// blocks that takes up: asked afterwards, because the table may be growing.
pub async fn begin(client: &Client, site: &Site) -> Result<(String, i64), Error> {
    client.batch_execute("set lock_timeout = '3s'").await?;
    client.batch_execute(include_str!("begin.sql")).await?;
    let row = client
        .query_one(
            "-- schema::objects::replacement::begin
            select pg_catalog.pg_export_snapshot(),
                pg_catalog.pg_relation_size($1::oid) / pg_catalog.current_setting('block_size')::bigint",
            &[&site.sessions.oid],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// Makes the new table, empty and without anything that would slow down filling it.
pub async fn create(client: &Client) -> Result<(), Error> {
    client.batch_execute(include_str!("create.sql")).await?;
    Ok(())
}

/// Gives the new table what it lacks beside the old one, except for the triggers, and takes out links whose session or
/// user is gone.
pub async fn complete(client: &Client, site: &Site) -> Result<(), Error> {
    let built = LEFT_OVERS[0];
    client.batch_execute(include_str!("index.sql")).await?;
    // Both are added before links that lead nowhere are looked for: from then on, deleting a session or a user takes
    // the link along.
    for reference in foreign_keys::wanted(site) {
        reference.add(client, built).await?;
    }
    for reference in foreign_keys::wanted(site) {
        reference.validate(client, built).await?;
    }
    client.batch_execute(include_str!("complete.sql")).await?;
    Ok(())
}

/// Whether nothing depends on the old table in a way that the new one could not take over.
async fn is_replaceable(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_one(include_str!("is_replaceable.sql"), &[])
        .await?;
    Ok(row.get(0))
}

/// Puts the new table in the place of the old one, within the transaction that "holder" has open. Since before the
/// first session was read, that transaction has kept the queue from being read and revocations from settling. Returns
/// what is in the way, if the old table must not be replaced; then, and if this fails, nothing has happened.
pub async fn put_in_place(
    holder: &Client,
    other: &Client,
    site: &Site,
    blocks: &Blocks,
) -> Result<Result<(), Obstacle>, Error> {
    holder.batch_execute("savepoint swap").await?;
    for attempt in 0..lock::LOCK_TRIES {
        lock::wait_for_turn(holder, &[], attempt).await?;
        match swap(holder, site).await {
            Err(Error::Connection(error)) if error.is_lost_lock() => {
                holder.batch_execute("rollback to savepoint swap").await?;
                lock::drive_autovacuum_off(other, &[blocks.links]).await?;
            }
            result => return result,
        }
    }
    Err(Error::Busy {
        what: "session_reaper.user_session".to_owned(),
    })
}

async fn swap(client: &Client, site: &Site) -> Result<Result<(), Obstacle>, Error> {
    client
        .batch_execute(&site.render(include_str!("lock.sql")))
        .await?;
    // Once more: only now can no other transaction add anything.
    let few = client
        .query_one(
            "-- schema::objects::replacement::swap
            select pg_catalog.count(*) <= $1::bigint from (select from session_reaper.user_session limit $1::bigint + 1) counted",
            &[&MOST_MOVED],
        )
        .await?;
    if !few.get::<_, bool>(0) {
        return Ok(Err(Obstacle::Linked));
    }
    if !is_replaceable(client).await? {
        return Ok(Err(Obstacle::Dependent));
    }
    client.batch_execute(include_str!("swap.sql")).await?;
    client.batch_execute(&functions::view(site)).await?;
    Ok(Ok(()))
}
