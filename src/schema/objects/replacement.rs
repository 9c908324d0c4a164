//! A table of links that is built beside `session_reaper.user_session` and takes its place whole: a million links that
//! are checked against two tables one by one cost the server four times what they cost here.
//!
//! Whatever interrupts it, the table that everybody sees is the old one or the new one. What may be left over is a
//! table that nobody looks at, and that every command takes away which changes the schema.

use tokio_postgres::Client;

use super::{foreign_keys, functions, preconditions};
use crate::schema::{Error, LOCK_CLASS, Site, lock, site::catalog, state, turn::MIGRATING_LOCK};

/// While it is being built, and after it has been replaced. `create.sql` and the others know these names, too.
const LEFT_OVERS: [&str; 2] = [
    "session_reaper.user_session_built",
    "session_reaper.user_session_replaced",
];

/// So many rows are moved while nobody can look at the links, which takes tenths of a second (P6).
const MOST_MOVED: i64 = 20_000;

/// A range of so many blocks has some thousand sessions, and is read in a hundredth of a second.
const RANGE_BLOCKS: i64 = 256;

/// Where the sessions stand that are to be linked.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// How many are read in one statement.
    pub in_range: i64,
    /// The table that is replaced.
    links: u32,
}

/// Keeps everybody else off the schema until this connection ends; false if somebody is at it already.
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

/// Whether it can be built here and is worth it: sessions to be linked, at least as many, and few that are linked or
/// queued. Refuses a role that could not finish it.
pub async fn may_be(client: &Client, site: &Site, least: i64) -> Result<Option<Blocks>, Error> {
    preconditions::check(client, site).await?;
    catalog::require_no_row_security(client, &site.sessions).await?;
    // Another release, or other settings, have another view.
    if !functions::differing(client, site).await?.is_empty() || !is_replaceable(client).await? {
        return Ok(None);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is compared with an estimate"
    )]
    let least = least as f64;
    let row = client
        .query_opt(
            include_str!("replacement/may_be.sql"),
            &[&site.sessions.oid, &least, &MOST_MOVED, &RANGE_BLOCKS],
        )
        .await?;
    Ok(row.map(|row| Blocks {
        in_range: row.get(0),
        links: row.get(1),
    }))
}

/// Takes away what an interrupted run may have left. The foreign keys first, a table of the site's at a time.
pub async fn drop_left_overs(client: &Client) -> Result<(), Error> {
    for name in LEFT_OVERS {
        if state::has_table(client, name).await? {
            foreign_keys::drop_all(client, name).await?;
            lock::execute(client, &[], name, &format!("drop table {name}")).await?;
        }
    }
    Ok(())
}

/// Opens the transaction that [`put_in_place`] needs, and returns what it sees, for others to see the same, and how many
/// blocks that stands in: asked afterwards, because the table may be growing.
pub async fn begin(client: &Client, site: &Site) -> Result<(String, i64), Error> {
    client.batch_execute("set lock_timeout = '3s'").await?;
    client
        .batch_execute(include_str!("replacement/begin.sql"))
        .await?;
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

/// Makes it, empty and without anything that would slow down filling it.
pub async fn create(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(include_str!("replacement/create.sql"))
        .await?;
    Ok(())
}

/// Gives it what it lacks beside the old one but for the triggers, and takes out whose session or user has gone.
pub async fn complete(client: &Client, site: &Site) -> Result<(), Error> {
    let built = LEFT_OVERS[0];
    client
        .batch_execute(include_str!("replacement/index.sql"))
        .await?;
    // Both before links that lead nowhere are looked for: from then on, deleting a session or a user takes the link along.
    for reference in foreign_keys::wanted(site) {
        reference.add(client, built).await?;
    }
    for reference in foreign_keys::wanted(site) {
        reference.validate(client, built).await?;
    }
    client
        .batch_execute(include_str!("replacement/complete.sql"))
        .await?;
    Ok(())
}

/// Whether nothing holds on to the old one that the new one could not give.
async fn is_replaceable(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_one(include_str!("replacement/is_replaceable.sql"), &[])
        .await?;
    Ok(row.get(0))
}

/// Puts it in the place of the old one, within the transaction that "holder" has open: that keeps the queue from being read
/// and revocations from settling since before the first session was read. False if it may not be; nothing
/// has happened then, nor if it fails.
pub async fn put_in_place(
    holder: &Client,
    other: &Client,
    site: &Site,
    blocks: &Blocks,
) -> Result<bool, Error> {
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

async fn swap(client: &Client, site: &Site) -> Result<bool, Error> {
    client
        .batch_execute(&site.render(include_str!("replacement/lock.sql")))
        .await?;
    // Once more: only now can nobody come up with anything.
    let few = client
        .query_one(
            "-- schema::objects::replacement::swap
            select pg_catalog.count(*) <= $1::bigint from (select from session_reaper.user_session limit $1::bigint + 1) counted",
            &[&MOST_MOVED],
        )
        .await?;
    if !few.get::<_, bool>(0) || !is_replaceable(client).await? {
        return Ok(false);
    }
    client
        .batch_execute(include_str!("replacement/swap.sql"))
        .await?;
    client.batch_execute(&functions::view(site)).await?;
    Ok(true)
}
