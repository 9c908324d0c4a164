//! Revocations that nobody has looked at yet.

use deadpool_postgres::Transaction;

use crate::connection::{Error, Pool};

/// Whether there is one that is due.
pub async fn any(pool: &Pool) -> Result<bool, Error> {
    let row = pool
        .get()
        .await?
        .query_one(
            "-- requested::any
            select exists (
                select
                from session_reaper.revocation r
                where r.state = 'requested' and r.next_attempt_at <= clock_timestamp())
                and not exists (select from session_reaper.pause)",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Locks up to "most" revocations that nobody else has locked, those of everybody aside.
pub async fn claim(transaction: &Transaction<'_>, most: u32) -> Result<Vec<i64>, Error> {
    let rows = transaction
        .query(
            "-- requested::claim
            select r.id
            from session_reaper.revocation r
            where r.state = 'requested' and r.scope <> 'all' and r.next_attempt_at <= clock_timestamp()
              and not exists (select from session_reaper.pause)
            order by r.id
            limit $1
            for update skip locked",
            &[&i64::from(most)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Locks a revocation of everybody, if there is one that nobody else has locked.
pub async fn claim_everyone(transaction: &Transaction<'_>) -> Result<Option<i64>, Error> {
    let row = transaction
        .query_opt(
            "-- requested::claim_everyone
            select r.id
            from session_reaper.revocation r
            where r.state = 'requested' and r.scope = 'all' and r.next_attempt_at <= clock_timestamp()
              and not exists (select from session_reaper.pause)
            order by r.id
            limit 1
            for update skip locked",
            &[],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// They have been swept once.
pub async fn mark(transaction: &Transaction<'_>, ids: &[i64]) -> Result<(), Error> {
    transaction
        .execute(
            "-- requested::mark
            update session_reaper.revocation r
            set state = 'revoked', revoked_at = clock_timestamp(), attempts = 0
            where r.id = any ($1)",
            &[&ids],
        )
        .await?;
    Ok(())
}

/// They failed and are tried again later, for longer each time, so that the others go on meanwhile.
pub async fn postpone(pool: &Pool, ids: &[i64], sqlstate: Option<&str>) -> Result<(), Error> {
    let client = pool.get().await?;
    client
        .execute(
            "-- requested::postpone
            update session_reaper.revocation r
            set attempts = r.attempts + 1,
                next_attempt_at = clock_timestamp()
                    + least(interval '1 second' * 2 ^ least(r.attempts, 9), interval '5 minutes'),
                last_error = $2
            where r.id = any ($1)",
            &[&ids, &sqlstate],
        )
        .await?;
    Ok(())
}
