//! Links a million sessions at once: reads them in the order in which they are stored, writes their links into a table
//! beside the one in use, and puts it in the place of that one (see `schema::objects::replacement`).
//!
//! All connections that read here see one snapshot. A session that has a user in it, and is neither linked nor in the
//! queue, was written before the triggers came. So its user has been in it for longer than anything that the queue will
//! ever tell, and its link is older than every change, like one that a page makes. From before that snapshot until the
//! new table is in its place, nothing is taken off the queue. So if a user leaves a session, or comes into one,
//! afterwards, the next drain finds that in the queue. Links whose session or user is deleted are removed by the
//! foreign keys once these exist, and before that by the search for links that lead nowhere. The pages find sessions
//! that were passed over; without the pages the backfill is not complete and nothing settles (P1).

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

pub use crate::schema::objects::replacement::Obstacle;

/// With fewer sessions than this, no operator has to wait for pages.
pub const WORTHWHILE: i64 = 50_000;

/// Each keeps at most one of the server's processors busy.
const CONNECTIONS: usize = 4;

/// Well within the time that the server lets a transaction be idle.
const AWAKE_EVERY: Duration = Duration::from_secs(1);

/// Links the sessions that are not linked yet, if there are at least so many and nothing is in the way. Returns what was
/// in the way otherwise, and then nothing has changed. Reports how many were read, as it reads them.
///
/// # Errors
/// A role that is not the owner, a lock that cannot be had, a database that cannot be reached. Nothing has changed
/// then, either.
pub async fn build(
    target: &Target,
    site: &Site,
    least: i64,
    stop: &Stop,
    has_read: impl Fn(u64),
) -> Result<Result<(), Obstacle>, Error> {
    // Where a trigger links, it notes nothing in the queue.
    if !matches!(site.user_source, UserSource::Codec { .. }) {
        return Ok(Err(Obstacle::Trigger));
    }
    let (holder, client) = (connect(target).await?, connect(target).await?);
    if !replacement::claim(&holder).await? {
        return Ok(Err(Obstacle::Schema));
    }
    replacement::drop_left_overs(&client).await?;
    let blocks = match replacement::may_be(&client, site, least).await? {
        Ok(blocks) => blocks,
        Err(obstacle) => return Ok(Err(obstacle)),
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
    if !matches!(built, Ok(Ok(()))) {
        let _ = holder.batch_execute("rollback").await;
    }
    // The table that was replaced, or the new one that was not put in its place.
    let dropped = replacement::drop_left_overs(&client).await;
    let built = built?;
    if built.is_ok() {
        dropped?;
        // Or the pages would look every link up in the table itself.
        client
            .batch_execute("vacuum session_reaper.user_session")
            .await?;
    }
    Ok(built)
}

/// With as much time as building indexes takes.
async fn connect(target: &Target) -> Result<Client, Error> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    client
        .batch_execute("set statement_timeout = 0; set enable_seqscan = on")
        .await?;
    Ok(client)
}

/// The server ends idle transactions, so that a computer that vanished does not keep its locks.
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
    /// "holder" has the transaction that keeps others off, and that puts the table in its place. If it were lost,
    /// others might have drained meanwhile, and the new table would be of no use.
    async fn build(&self, holder: &Client, client: &Client) -> Result<Result<(), Obstacle>, Error> {
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
        if !is_built {
            return Ok(Err(Obstacle::Stopped));
        }
        let placed = replacement::put_in_place(holder, client, self.site, &self.blocks).await?;
        if placed.is_ok() {
            holder.batch_execute("commit").await?;
        }
        Ok(placed)
    }

    /// False if it was stopped.
    async fn fill(&self, snapshot: &str, all: i64) -> Result<bool, connection::Error> {
        let connections = CONNECTIONS.min(self.database.connections());
        try_join_all((0..connections).map(|_| self.read_ranges(snapshot, all))).await?;
        Ok(!self.stop.is_stopped())
    }
}
