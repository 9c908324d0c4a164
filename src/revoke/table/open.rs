//! Revocations that have been swept and are not settled yet.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::error::SqlState;

use super::round::Round;
use crate::{
    connection::{Database, Error, prepared},
    settings::Revoke,
};

/// Whether there are any to work on: none while the site migrates.
pub async fn any(database: &Database) -> Result<bool, Error> {
    let row = database
        .query_one_prepared(
            "-- revoke::table::open::any
            select exists (select from session_reaper.revocation r where r.state = 'revoked')
               and not exists (select from session_reaper.pause)",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// The next window of those whose horizon has not passed. Nothing is locked, because that would be written to the WAL.
pub async fn waiting(
    transaction: &Transaction<'_>,
    round: &mut Round,
    most: u32,
) -> Result<Vec<i64>, Error> {
    let rows = prepared::query(
        transaction,
        "-- revoke::table::open::waiting
            select r.place, r.id
            from session_reaper.revocation r
            left join session_reaper.horizon h on h.id = r.horizon_id
            where r.state = 'revoked' and (r.place, r.id) > ($1, $2) and h.passed_at is null
            order by r.place, r.id
            limit $3",
        &[&round.place, &round.id, &i64::from(most)],
    )
    .await?;
    Ok(round.note(&rows, most))
}

/// Locks those of them that have a session to end, or an ended key whose grace is over.
pub async fn lock_due(
    transaction: &Transaction<'_>,
    ids: &[i64],
    grace_s: u64,
) -> Result<Vec<i64>, Error> {
    let rows = prepared::query(
        transaction,
        "-- revoke::table::open::lock_due
            select r.id
            from session_reaper.revocation r
            where r.state = 'revoked'
              and r.id = any (array(
                select w.id from session_reaper.with_sessions($1) w (id)
                union
                select g.id
                from session_reaper.revocation g
                where g.id = any ($1)
                  and g.remembered_at + $2::double precision * interval '1 second' <= now()
                  and exists (
                    select from session_reaper.revoked_key k
                    where k.revocation_id = g.id and k.ended and not k.grace_over)))
            order by r.id
            for update skip locked",
        &[&ids, &(grace_s as f64)],
    )
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The next window of those whose horizon and grace have passed.
pub async fn ready(
    transaction: &Transaction<'_>,
    round: &mut Round,
    settings: &Revoke,
) -> Result<Vec<i64>, Error> {
    let rows = prepared::query(transaction, "-- revoke::table::open::ready
            select r.place, r.id
            from session_reaper.revocation r
            join session_reaper.horizon h on h.id = r.horizon_id
            where r.state = 'revoked'
              and (r.place, r.id) > ($1, $2)
              and h.passed_at is not null
              and coalesce(r.remembered_at, r.revoked_at) + $3::double precision * interval '1 second' <= clock_timestamp()
              and r.next_attempt_at <= clock_timestamp()
            order by r.place, r.id
            limit $4", &[
                &round.place,
                &round.id,
                &(settings.write_back_grace_s as f64),
                &i64::from(settings.batch_rows),
            ]).await?;
    Ok(round.note(&rows, settings.batch_rows))
}

/// Locks those of them that the cache has forgotten, because the last sweep comes after the last eviction. Returns each
/// with how often it was ready before.
pub async fn lock_ready(
    transaction: &Transaction<'_>,
    ids: &[i64],
) -> Result<Vec<(i64, i32)>, Error> {
    let rows = prepared::query(
        transaction,
        "-- revoke::table::open::lock_ready
            select r.id, r.attempts
            from session_reaper.revocation r
            where r.state = 'revoked'
              and r.id = any (array(
                select i.id from unnest($1::bigint[]) i (id)
                except
                select e.id from session_reaper.awaiting_eviction($1) e (id)))
            order by r.id
            for update skip locked",
        &[&ids],
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
    /// SQLSTATE of what keeps one of its sessions from being deleted.
    pub last_error: Option<String>,
}

/// Settles those that have nothing left to end, as a snapshot taken after the last sweep sees it.
pub async fn mark_settled(
    transaction: &Transaction<'_>,
    ids: &[i64],
    grace_s: u64,
) -> Result<Vec<Marked>, Error> {
    let rows = prepared::query(transaction, "-- revoke::table::open::mark_settled
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
                        + least(interval '5 ms' * (2 operator(pg_catalog.^) least(r.attempts, 9)), interval '1 second'),
                    last_error = case when r.id = any (l.ids) then r.last_error end
                from left_over l
                where r.id = any ($1)
                returning r.id, r.state, r.attempts, r.last_error
            ), forgotten as (
                delete from session_reaper.revoked_key k
                using marked m
                where m.state = 'settled' and k.revocation_id = m.id
            )
            select m.id, m.state = 'settled', m.attempts, m.last_error from marked m", &[&ids, &(grace_s as f64)]).await?;
    let marked = |row: &tokio_postgres::Row| Marked {
        id: row.get(0),
        settled: row.get(1),
        attempts: row.get(2),
        last_error: row.get(3),
    };
    Ok(rows.iter().map(marked).collect())
}

/// Notes that another transaction keeps one of its sessions locked. Any other error that was noted stays.
pub async fn note_locked(client: &Object, id: i64) -> Result<(), Error> {
    prepared::execute(client, "-- revoke::table::open::note_locked
            update session_reaper.revocation r set last_error = $2 where r.id = $1 and r.last_error is null", &[&id, &SqlState::LOCK_NOT_AVAILABLE.code()]).await?;
    Ok(())
}
