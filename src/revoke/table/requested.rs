//! Revocations that wait to be revoked: new, postponed or reopened.

use std::time::Duration;

use deadpool_postgres::Transaction;

use crate::connection::{Database, Error, prepared};

/// What is due: nothing while the site migrates.
pub struct Due {
    /// Whether there is any besides those of everybody.
    pub any: bool,
    /// Whether there is one of everybody, which may have to rest first.
    pub everybody: bool,
}

/// Looks without locking.
pub async fn due(database: &Database) -> Result<Due, Error> {
    let row = database
        .query_one_prepared(
            "-- revoke::table::requested::due
            select d.any and p.works, d.everybody and p.works
            from (
                select exists (
                        select from session_reaper.revocation r
                        where r.state = 'requested' and r.scope <> 'all' and r.next_attempt_at <= clock_timestamp()) as any,
                    exists (
                        select from session_reaper.revocation r
                        where r.state = 'requested' and r.scope = 'all') as everybody
            ) d
            cross join (select not exists (select from session_reaper.pause) as works) p",
            &[],
        )
        .await?;
    Ok(Due {
        any: row.get(0),
        everybody: row.get(1),
    })
}

/// Revocations that have been claimed.
pub struct Claimed {
    /// Their numbers.
    pub ids: Vec<i64>,
    /// Whether each change has a stamp.
    pub are_stamped: bool,
}

/// Locks up to "most" revocations that no other daemon has locked, apart from those of everybody. In the
/// order of `place`, which takes fifty of each change in turn: a single change does not wait behind a mass reset.
pub async fn claim(transaction: &Transaction<'_>, most: u32) -> Result<Claimed, Error> {
    let rows = prepared::query(
        transaction,
        "-- revoke::table::requested::claim
        select r.id, exists (select from session_reaper.change c where c.id = r.change_id and c.at is not null)
        from session_reaper.revocation r
        where r.state = 'requested' and r.scope <> 'all' and r.next_attempt_at <= clock_timestamp()
          and not exists (select from session_reaper.pause)
        order by r.place, r.id
        limit $1
        for update skip locked",
        &[&i64::from(most)],
    )
    .await?;
    Ok(Claimed {
        ids: rows.iter().map(|row| row.get(0)).collect(),
        are_stamped: rows.iter().all(|row| row.get(1)),
    })
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

/// A change without a stamp counts as later than every login, for ever (P2). It has none because its trigger was off,
/// as under `session_replication_role = replica`. It gets one as soon as it is seen, which is no earlier than its
/// commit (P1). Returns those revocations whose change has one; the others are left to the daemon that is stamping
/// theirs just now.
pub async fn stamp(transaction: &Transaction<'_>, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let rows = prepared::query(
        transaction,
        "-- revoke::table::requested::stamp
            with unstamped as materialized (
                select c.id
                from session_reaper.change c
                where c.at is null
                  and c.id = any (array(
                    select r.change_id from session_reaper.revocation r where r.id = any ($1)))
                for no key update skip locked
            ), stamped as (
                update session_reaper.change c
                set at = session_reaper.latest_time(), stamps = 3
                from unstamped u
                where c.id = u.id
                returning c.id
            )
            select r.id
            from session_reaper.revocation r
            join session_reaper.change c on c.id = r.change_id
            where r.id = any ($1) and (c.at is not null or c.id in (select s.id from stamped s))",
        &[&ids],
    )
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// They have been swept, and none of their free sessions is left: a client that is told so may count on it.
pub async fn mark(transaction: &Transaction<'_>, ids: &[i64]) -> Result<(), Error> {
    prepared::execute(
        transaction,
        "-- revoke::table::requested::mark
        update session_reaper.revocation r
        set state = 'revoked', revoked_at = clock_timestamp(), attempts = 0,
            changed_in = c.xid, changed_at = coalesce(c.at, 'infinity')
        from session_reaper.change c
        where r.id = any ($1) and c.id = r.change_id",
        &[&ids],
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
