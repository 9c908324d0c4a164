//! Revocations that have been swept and are not settled yet.

use deadpool_postgres::Transaction;

use crate::{
    connection::{Error, Pool},
    settings::Revoke,
};

/// How many there are to work on: none while the site migrates.
pub async fn count(pool: &Pool) -> Result<i64, Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let row = transaction
        .query_one(
            "-- open::count
            select count(*) from session_reaper.revocation r
            where r.state = 'revoked' and not exists (select from session_reaper.pause)",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Locks up to `most` behind the number `after` whose horizon has not passed.
pub async fn waiting(
    transaction: &Transaction<'_>,
    after: i64,
    most: u32,
) -> Result<Vec<i64>, Error> {
    let rows = transaction
        .query(
            "-- open::waiting
            select r.id
            from session_reaper.revocation r
            left join session_reaper.horizon h on h.id = r.horizon_id
            where r.state = 'revoked' and r.id > $1 and h.passed_at is null
            order by r.id
            limit $2
            for update of r skip locked",
            &[&after, &i64::from(most)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Locks those whose horizon and grace have passed; returns them with how often that was so before.
pub async fn ready(
    transaction: &Transaction<'_>,
    settings: &Revoke,
) -> Result<Vec<(i64, i32)>, Error> {
    let rows = transaction
        .query(
            "-- open::ready
            select r.id, r.attempts
            from session_reaper.revocation r
            join session_reaper.horizon h on h.id = r.horizon_id
            where r.state = 'revoked'
              and h.passed_at is not null
              and coalesce(r.remembered_at, r.revoked_at) + $1::double precision * interval '1 second' <= clock_timestamp()
              and r.next_attempt_at <= clock_timestamp()
              -- The last sweep comes after the last eviction: it is no use before.
              and r.id not in (select session_reaper.awaiting_eviction(null))
            order by r.id
            limit $2
            for update of r skip locked",
            &[&(settings.write_back_grace_s as f64), &i64::from(settings.batch_rows)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What became of one that was ready.
pub struct Marked {
    /// Its number.
    pub id: i64,
    /// Whether it is settled now.
    pub settled: bool,
    /// How often it was ready.
    pub attempts: i32,
    /// SQLSTATE of what keeps a session of it from being deleted.
    pub last_error: Option<String>,
}

/// Settles those that have nothing left to end, as a snapshot taken after the last sweep sees it.
pub async fn mark_settled(
    transaction: &Transaction<'_>,
    ids: &[i64],
    grace_s: u64,
) -> Result<Vec<Marked>, Error> {
    let rows = transaction
        .query(
            "-- open::mark_settled
            with left_over as materialized (
                select array(
                    select i.id from unnest(session_reaper.unfinished($1)) as i (id)
                    union
                    -- What the last sweep itself has ended may be written back, too.
                    select r.id
                    from session_reaper.revocation r
                    where r.id = any ($1)
                      and r.remembered_at + $2::double precision * interval '1 second' > clock_timestamp()
                ) as ids
            ), marked as (
                update session_reaper.revocation r
                set state = case when r.id = any (l.ids) then r.state else 'settled' end,
                    settled_at = case when r.id = any (l.ids) then null else clock_timestamp() end,
                    attempts = r.attempts + 1,
                    next_attempt_at = clock_timestamp()
                        + least(interval '5 ms' * 2 ^ least(r.attempts, 9), interval '1 second'),
                    last_error = case when r.id = any (l.ids) then r.last_error end
                from left_over l
                where r.id = any ($1)
                returning r.id, r.state, r.attempts, r.last_error
            ), forgotten as (
                delete from session_reaper.revoked_key k
                using marked m
                where m.state = 'settled' and k.revocation_id = m.id
            )
            select m.id, m.state = 'settled', m.attempts, m.last_error from marked m",
            &[&ids, &(grace_s as f64)],
        )
        .await?;
    let marked = |row: &tokio_postgres::Row| Marked {
        id: row.get(0),
        settled: row.get(1),
        attempts: row.get(2),
        last_error: row.get(3),
    };
    Ok(rows.iter().map(marked).collect())
}
