//! The only room that knows the table of revocations: whose sessions are to end, and how far that is.
//!
//! [`requested`] has what the revoker asks, [`open`] what the settler asks, [`settled`] what the purger asks.

pub mod open;
pub mod requested;
pub mod round;
pub mod settled;

use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use requested::Everyone;

use crate::{
    connection::{Error, prepared},
    settings::Revoke,
};

/// Begins a transaction that ends sessions by other functions than those below, which begin with the same themselves.
/// One of the site's foreign keys on its sessions, deferred like all that Django makes, would fail the commit and with
/// it the work for every user. Checked at once, it keeps only its own session.
pub async fn begin(client: &mut Object) -> Result<Transaction<'_>, Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(
            "-- revoke::table::begin
            set constraints all immediate",
        )
        .await?;
    Ok(transaction)
}

/// How many rows, as the database's functions take it.
fn at_most(rows: u32) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

/// Whether requests in flight may write ended sessions back, so that their keys have to be noted.
fn remembers(settings: &Revoke) -> bool {
    settings.write_back_grace_s > 0
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Sessions that ended.
    pub sessions: i64,
    /// Revocations that may have more sessions that are free: their share of the batch was too small.
    pub unswept: Vec<i64>,
}

/// Ends the free sessions that these revocations end, up to the batch, which is shared out among them.
pub async fn sweep(
    transaction: &Transaction<'_>,
    ids: &[i64],
    settings: &Revoke,
) -> Result<Swept, Error> {
    if ids.is_empty() {
        return Ok(Swept::default());
    }
    let most = at_most(settings.batch_rows);
    let share = (most / i32::try_from(ids.len()).unwrap_or(i32::MAX)).max(1);
    let row = prepared::query_one(
        transaction,
        "-- revoke::table::sweep
        select s.ended, s.unswept from session_reaper.sweep_free($1, $2, $3) s",
        &[&ids, &share, &remembers(settings)],
    )
    .await?;
    Ok(Swept {
        sessions: row.get(0),
        unswept: row.get(1),
    })
}

/// Tells the clients that hold connections open for these users' sessions.
pub async fn tell(
    transaction: &Transaction<'_>,
    ids: &[i64],
    settings: &Revoke,
) -> Result<(), Error> {
    if settings.tell && !ids.is_empty() {
        prepared::execute(
            transaction,
            "-- revoke::table::tell
            select session_reaper.tell_revoked($1)",
            &[&ids],
        )
        .await?;
    }
    Ok(())
}

/// One page of a revocation of everybody.
pub struct Page {
    /// Whether it was looked at; not while a paced revocation rests.
    pub swept: bool,
    /// Sessions that ended.
    pub ended: i64,
    /// Whether there are more pages.
    pub more: bool,
    /// How long to rest before the next one.
    pub rest: Duration,
}

impl Page {
    /// The next one, whose time has not come.
    pub fn resting(rest: Duration) -> Self {
        Self {
            swept: false,
            ended: 0,
            more: true,
            rest,
        }
    }
}

/// Ends the older ones of the next batch of linked sessions, or of as many as may end in a second.
pub async fn sweep_everyone(
    transaction: &Transaction<'_>,
    everyone: &Everyone,
    settings: &Revoke,
) -> Result<Page, Error> {
    let (id, per_second) = (everyone.id, everyone.per_second.unwrap_or(u32::MAX));
    let most = at_most(settings.batch_rows.min(per_second));
    let row = transaction
        .query_one(
            "-- revoke::table::sweep_everyone
            select s.ended, s.more from session_reaper.sweep_everyone($1, $2, $3) s",
            &[&id, &most, &remembers(settings)],
        )
        .await?;
    let (ended, more): (i64, bool) = (row.get(0), row.get(1));
    let rest = Duration::from_secs_f64(ended as f64 / f64::from(per_second));
    if more && everyone.per_second.is_some() {
        requested::rest(transaction, id, rest).await?;
    }
    Ok(Page {
        swept: true,
        ended,
        more,
        rest,
    })
}
