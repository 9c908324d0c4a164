//! Links a million sessions at once: reads them in the order in which they stand, writes their links into a table beside
//! the one that everybody uses, and puts it in the place of that (see `schema::built`).
//!
//! Everybody who reads here sees what one snapshot sees. A session that has a user there, and is neither linked nor in
//! the queue, was written before the triggers came, so its user has been in it for longer than anything that the queue
//! will ever tell: its link is older than every change, as one that a page makes. From before that snapshot until the new
//! table is in its place nobody takes anything off the queue, so whoever leaves a session, or comes into one, afterwards
//! is found there by the next drain. Whose session or user is deleted, the foreign keys take care of once they are there,
//! and the looking for links that lead nowhere before. Sessions that were passed over are found by the pages, without
//! which the backfill is not complete and nothing settles (P1).

mod ranges;

use std::{cell::Cell, convert::Infallible, time::Duration};

use futures_util::future::try_join_all;
use tokio_postgres::Client;

use crate::{
    connection::{self, Database, Target},
    process::shutdown::Stop,
    schema::{
        Error, Site, UserSource,
        objects::replacement::{self, Blocks},
    },
};

/// Below so many sessions nobody waits for pages.
pub const WORTHWHILE: i64 = 50_000;

/// Each keeps a processor of the server busy at most.
const CONNECTIONS: usize = 4;

/// Well within what the server lets a transaction be idle.
const AWAKE_EVERY: Duration = Duration::from_secs(1);

/// Links the sessions that nobody has linked, if there are at least so many and nothing is in the way of it; false if it
/// did not, and then nothing has changed. Says how many were read, as it reads them.
///
/// # Errors
/// A role that is not the owner, a lock that is not to be had, a database that cannot be reached. Nothing has changed
/// then, either.
pub async fn build(
    target: &Target,
    site: &Site,
    least: i64,
    stop: &Stop,
    has_read: impl Fn(u64),
) -> Result<bool, Error> {
    // Where a trigger links, it notes nothing in the queue, which then does not tell who has left a session.
    if !matches!(site.user_source, UserSource::Codec { .. }) {
        return Ok(false);
    }
    let (holder, client) = (connect(target).await?, connect(target).await?);
    if !replacement::claim(&holder).await? {
        return Ok(false);
    }
    replacement::drop_left_overs(&client).await?;
    let Some(blocks) = replacement::may_be(&client, site, least).await? else {
        return Ok(false);
    };
    let building = Building {
        database: target.database()?,
        site,
        blocks,
        stop,
        next: Cell::new(0),
        has_read,
    };
    let built = building.build(&holder, &client).await;
    if !matches!(built, Ok(true)) {
        let _ = holder.batch_execute("rollback").await;
    }
    // The one that was replaced, or the one that was not to be.
    let dropped = replacement::drop_left_overs(&client).await;
    let built = built?;
    if built {
        dropped?;
        // Or the pages would look every link up in the table itself.
        client
            .batch_execute("vacuum session_reaper.user_session")
            .await?;
    }
    Ok(built)
}

/// With the time that building indexes takes.
async fn connect(target: &Target) -> Result<Client, Error> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    client
        .batch_execute("set statement_timeout = 0; set enable_seqscan = on")
        .await?;
    Ok(client)
}

/// The server ends transactions that nobody works on, lest a computer that vanished keeps its locks.
async fn stay_awake(client: &Client) -> Result<Infallible, Error> {
    loop {
        tokio::time::sleep(AWAKE_EVERY).await;
        client.batch_execute("/* building::stay_awake */").await?;
    }
}

struct Building<'a, F> {
    database: Database,
    site: &'a Site,
    blocks: Blocks,
    stop: &'a Stop,
    /// The block with which the next range begins.
    next: Cell<i64>,
    has_read: F,
}

impl<F: Fn(u64)> Building<'_, F> {
    /// "holder" has the transaction that keeps others off, and that puts the table in its place: were it lost, others
    /// might have drained meanwhile, and nothing would come of this.
    async fn build(&self, holder: &Client, client: &Client) -> Result<bool, Error> {
        let (snapshot, all) = replacement::begin(holder, self.site).await?;
        let built = async {
            replacement::create(client).await?;
            if !self.fill(&snapshot, all).await? {
                return Ok(false);
            }
            replacement::complete(client, self.site).await?;
            Ok::<_, Error>(true)
        };
        let is_built = tokio::select! {
            built = built => built?,
            lost = stay_awake(holder) => match lost? {},
        };
        if !is_built || !replacement::put_in_place(holder, client, self.site, &self.blocks).await? {
            return Ok(false);
        }
        holder.batch_execute("commit").await?;
        Ok(true)
    }

    /// False if it was stopped.
    async fn fill(&self, snapshot: &str, all: i64) -> Result<bool, connection::Error> {
        let connections = CONNECTIONS.min(self.database.connections());
        try_join_all((0..connections).map(|_| self.read_ranges(snapshot, all))).await?;
        Ok(!self.stop.is_stopped())
    }
}
