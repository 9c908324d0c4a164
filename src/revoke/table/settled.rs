//! Revocations that have settled: kept for a while as a record, then pruned.

use deadpool_postgres::Transaction;

use crate::connection::{Database, Error};

/// At most so many revocations are pruned in one transaction.
pub const PRUNED_AT_ONCE: u32 = 10_000;

/// Deletes up to "most" revocations that have been settled for longer than they are kept, with their changes and
/// horizons. Returns how many revocations, and whether there may be more.
pub async fn prune(database: &Database, retention_d: u32, most: u32) -> Result<(u64, bool), Error> {
    let most = i64::from(most);
    let pruned = database
        .work(async |mut client| {
            let transaction = client.transaction().await?;
            let rows = transaction
                .query(
                    "-- revoke::table::settled::prune
                    delete from session_reaper.revocation r
                    where r.id = any (array(
                        select o.id
                        from session_reaper.revocation o
                        where o.state = 'settled' and o.settled_at < now() - make_interval(days => $1)
                        order by o.settled_at
                        limit $2
                        for update skip locked))
                    returning r.change_id, r.horizon_id",
                    &[
                        &i32::try_from(retention_d).unwrap_or(i32::MAX),
                        &most,
                    ],
                )
                .await?;
            let changes: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            let horizons: Vec<i64> = rows.iter().filter_map(|row| row.get(1)).collect();
            prune_unused(&transaction, &changes, &horizons, most).await?;
            transaction.commit().await?;
            Ok(rows.len())
        })
        .await?;
    mend_ids(database).await?;
    let more = i64::try_from(pruned).is_ok_and(|pruned| pruned >= most);
    Ok((pruned as u64, more))
}

/// Changes and horizons that no revocation names any more are looked for among those that these named, and among those
/// that are older than all that are still named. Most of what is kept is in use, and must not be looked through each
/// time.
async fn prune_unused(
    transaction: &Transaction<'_>,
    changes: &[i64],
    horizons: &[i64],
    most: i64,
) -> Result<(), Error> {
    transaction
        .execute(
            "-- revoke::table::settled::prune_unused
            delete from session_reaper.change c
            where c.id = any ($1 || array(
                select o.id
                from session_reaper.change o
                where o.id < (select min(r.change_id) from session_reaper.revocation r)
                order by o.id
                limit $2))
              and coalesce(c.at, c.begun_at) not between now() - interval '1 day' and now() + interval '1 day'
              and not exists (select from session_reaper.revocation r where r.change_id = c.id)
              and not exists (select from session_reaper.paused_request p where p.change_id = c.id)",
            &[&changes, &most],
        )
        .await?;
    transaction
        .execute(
            "-- revoke::table::settled::prune_unused
            delete from session_reaper.horizon h
            where h.id = any ($1 || array(
                select o.id
                from session_reaper.horizon o
                where o.id < (select min(r.horizon_id) from session_reaper.revocation r)
                order by o.id
                limit $2))
              and h.passed_at < now() - interval '1 day'
              and not exists (select from session_reaper.revocation r where r.horizon_id = h.id)",
            &[&horizons, &most],
        )
        .await?;
    Ok(())
}

async fn mend_ids(database: &Database) -> Result<(), Error> {
    database
        .batch_execute(
            "-- revoke::table::settled::mend_ids
            -- Ids from this server's future came with a dump from another one. Some day they would be reached, and the
            -- change would then look as if newer logins had not seen it (P2). An id that everybody sees leaves it to
            -- the clock.
            update session_reaper.change c
            set xid = '0', newer_from = null
            where c.xid >= pg_snapshot_xmax(pg_current_snapshot())
              and not exists (
                select from session_reaper.change o where o.xid = '0' and o.begun_at = c.begun_at);
            -- What the cache was not told has expired there by now, or will.
            delete from session_reaper.missed m
            where m.what = 'eviction' and m.noted_at < now() - interval '1 day'",
        )
        .await?;
    Ok(())
}
