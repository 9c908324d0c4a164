//! Revocations that wait to be revoked: new, postponed or reopened.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::{at_most, remembers};
use crate::{
    connection::{Database, Error, prepared},
    settings::Revoke,
};

/// What became of a batch.
pub struct Batch {
    /// Those whose free sessions have all ended.
    pub revoked: Vec<i64>,
    /// Sessions that ended.
    pub sessions: i64,
    /// Whether there is more to do at once.
    pub more: bool,
}

impl Batch {
    fn of(row: &Row) -> Self {
        Self {
            revoked: row.get(0),
            sessions: row.get(1),
            more: row.get(2),
        }
    }
}

/// A batch of what was due, besides revocations of everybody.
pub struct Due {
    /// What became of it.
    pub batch: Batch,
    /// Whether there is one of everybody, which may have to rest first.
    pub everybody: bool,
    /// Whether nothing was done, because sessions have to be linked first.
    pub is_behind: bool,
}

/// Claims up to "most" revocations and ends their sessions, in one call. What is not due costs one look.
pub async fn revoke_due(
    database: &Database,
    most: u32,
    settings: &Revoke,
    links_first: bool,
) -> Result<Due, Error> {
    let row = database
        .query_one_prepared(
            "-- revoke::table::requested::revoke_due
            select d.revoked, d.ended, d.more, d.everybody, d.is_behind
            from session_reaper.revoke_due($1, $2, $3, $4, $5) d",
            &[
                &at_most(most),
                &at_most(settings.batch_rows),
                &remembers(settings),
                &settings.tell,
                &links_first,
            ],
        )
        .await?;
    Ok(Due {
        batch: Batch::of(&row),
        everybody: row.get(3),
        is_behind: row.get(4),
    })
}

/// Locks up to "most" revocations that no other daemon has locked, apart from those of everybody.
pub async fn claim(transaction: &Transaction<'_>, most: u32) -> Result<Vec<i64>, Error> {
    let row = prepared::query_one(
        transaction,
        "-- revoke::table::requested::claim
        select session_reaper.claim_due($1)",
        &[&at_most(most)],
    )
    .await?;
    Ok(row.get(0))
}

/// Ends the sessions of these.
pub async fn revoke_claimed(
    transaction: &Transaction<'_>,
    ids: &[i64],
    settings: &Revoke,
) -> Result<Batch, Error> {
    let row = prepared::query_one(
        transaction,
        "-- revoke::table::requested::revoke_claimed
        select c.revoked, c.ended, c.more from session_reaper.revoke_claimed($1, $2, $3, $4) c",
        &[
            &ids,
            &at_most(settings.batch_rows),
            &remembers(settings),
            &settings.tell,
        ],
    )
    .await?;
    Ok(Batch::of(&row))
}

/// A revocation of everybody.
pub struct Everyone {
    /// Its number.
    pub id: i64,
    /// How many sessions a second it may end, where that is bounded.
    pub per_second: Option<u32>,
    /// How long it has to rest.
    pub rest: Duration,
}

/// Locks a revocation of everybody, if there is one that no other daemon has locked: the one that is due first.
pub async fn claim_everyone(transaction: &Transaction<'_>) -> Result<Option<Everyone>, Error> {
    let row = transaction
        .query_opt(
            "-- revoke::table::requested::claim_everyone
            select r.id, r.per_second,
                extract(epoch from greatest(r.next_attempt_at, n.now) - n.now)::double precision
            from session_reaper.revocation r
            cross join clock_timestamp() n (now)
            where r.state = 'requested' and r.scope = 'all' and not exists (select from session_reaper.pause)
            order by r.next_attempt_at, r.id
            limit 1
            for update of r skip locked",
            &[],
        )
        .await?;
    Ok(row.map(|row| Everyone {
        id: row.get(0),
        per_second: row
            .get::<_, Option<i32>>(1)
            .and_then(|most| u32::try_from(most).ok()),
        rest: Duration::from_secs_f64(row.get::<_, f64>(2)),
    }))
}

/// Makes the next page wait, whichever daemon takes it.
pub async fn rest(transaction: &Transaction<'_>, id: i64, rest: Duration) -> Result<(), Error> {
    transaction
        .execute(
            "-- revoke::table::requested::rest
            update session_reaper.revocation r
            set next_attempt_at = clock_timestamp() + $2 * interval '1 second'
            where r.id = $1",
            &[&id, &rest.as_secs_f64()],
        )
        .await?;
    Ok(())
}

/// Gives a change that has no stamp one. Returns those revocations whose change has one; what another daemon is stamping
/// just now is left to it.
pub async fn stamp(transaction: &Transaction<'_>, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let row = prepared::query_one(
        transaction,
        "-- revoke::table::requested::stamp
        select session_reaper.stamp_changes($1)",
        &[&ids],
    )
    .await?;
    Ok(row.get(0))
}

/// Notes that these have been swept, and tells the clients that hold connections open for these users' sessions.
pub async fn mark(
    transaction: &Transaction<'_>,
    ids: &[i64],
    settings: &Revoke,
) -> Result<(), Error> {
    prepared::execute(
        transaction,
        "-- revoke::table::requested::mark
        select session_reaper.mark_revoked($1, $2)",
        &[&ids, &settings.tell],
    )
    .await
}

/// They failed and are tried again later, after a longer wait each time, so that the others go on meanwhile.
pub async fn postpone(
    database: &Database,
    ids: &[i64],
    sqlstate: Option<&str>,
) -> Result<(), Error> {
    database
        .execute_prepared(
            "-- revoke::table::requested::postpone
            update session_reaper.revocation r
            set attempts = r.attempts + 1,
                next_attempt_at = clock_timestamp()
                    + least(interval '1 second' * (2 operator(pg_catalog.^) least(r.attempts, 9)), interval '5 minutes'),
                last_error = $2
            where r.id = any ($1)",
            &[&ids, &sqlstate],
        )
        .await
}
