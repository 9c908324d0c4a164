//! The only room that knows the table of revocations: whose sessions are to end, and how far that is.
//!
//! [`requested`] has what the revoker asks, [`open`] what the settler asks.

pub mod open;
pub mod requested;

use deadpool_postgres::{Object, Transaction};

use crate::{
    connection::{Error, Pool},
    settings::Revoke,
};

/// Begins the transaction that ends sessions. A foreign key of the site's on its sessions, deferred as Django makes
/// them all, would fail the commit and with it everybody's work; checked at once, it keeps its own session only.
pub async fn begin(client: &mut Object) -> Result<Transaction<'_>, Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute("/* revocation::begin */ set constraints all immediate")
        .await?;
    Ok(transaction)
}

/// Ends what these revocations end and is free. Sessions over the batch are found again before one settles.
pub async fn sweep(
    transaction: &Transaction<'_>,
    ids: &[i64],
    settings: &Revoke,
) -> Result<i64, Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let remember = settings.write_back_grace_s > 0;
    let most = i32::try_from(settings.batch_rows).unwrap_or(i32::MAX);
    let row = transaction
        .query_one(
            "-- revocation::sweep
            select session_reaper.sweep($1, $2, $3)",
            &[&ids, &most, &remember],
        )
        .await?;
    Ok(row.get(0))
}

/// Tells whoever holds connections open for these users' sessions.
pub async fn tell(
    transaction: &Transaction<'_>,
    ids: &[i64],
    settings: &Revoke,
) -> Result<(), Error> {
    if settings.tell && !ids.is_empty() {
        transaction
            .execute(
                "-- revocation::tell
                select session_reaper.tell_revoked($1)",
                &[&ids],
            )
            .await?;
    }
    Ok(())
}

/// One page of a revocation of everybody.
pub struct Page {
    /// Sessions that ended.
    pub ended: i64,
    /// Whether there are more pages.
    pub more: bool,
}

/// Ends the older ones of the next batch of linked sessions.
pub async fn sweep_everyone(
    transaction: &Transaction<'_>,
    id: i64,
    settings: &Revoke,
) -> Result<Page, Error> {
    let most = i32::try_from(settings.batch_rows).unwrap_or(i32::MAX);
    let row = transaction
        .query_one(
            "-- revocation::sweep_everyone
            select s.ended, s.more from session_reaper.sweep_everyone($1, $2, $3) s",
            &[&id, &most, &(settings.write_back_grace_s > 0)],
        )
        .await?;
    Ok(Page {
        ended: row.get(0),
        more: row.get(1),
    })
}

/// Deletes what has been settled for longer than it is kept; returns how many revocations.
pub async fn prune(pool: &Pool, retention_d: u32) -> Result<u64, Error> {
    let client = pool.get().await?;
    let pruned = client
        .execute(
            "-- revocation::prune_revocations
            delete from session_reaper.revocation r
            where r.id = any (array(
                select o.id
                from session_reaper.revocation o
                where o.state = 'settled' and o.settled_at < now() - make_interval(days => $1)
                limit 10000
                for update skip locked))",
            &[&i32::try_from(retention_d).unwrap_or(i32::MAX)],
        )
        .await?;
    client
        .batch_execute(
            "-- revocation::prune_changes
            delete from session_reaper.change c
            where c.at < now() - interval '1 day'
              and not exists (select from session_reaper.revocation r where r.change_id = c.id);
            -- Ids from this server's future came with a dump from another one. Some day they would be reached, and the
            -- change would then look as if newer logins had not seen it (P2). An id that everybody sees leaves it to
            -- the clock.
            update session_reaper.change c
            set xid = '0'
            where c.xid >= pg_snapshot_xmax(pg_current_snapshot())
              and not exists (
                select from session_reaper.change o where o.xid = '0' and o.begun_at = c.begun_at);
            delete from session_reaper.horizon h
            where h.passed_at < now() - interval '1 day'
              and not exists (select from session_reaper.revocation r where r.horizon_id = h.id)",
        )
        .await?;
    Ok(pruned)
}
