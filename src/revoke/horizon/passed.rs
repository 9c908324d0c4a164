//! Horizons that have passed, or are waited for no longer, and what that means for their revocations.

use deadpool_postgres::Transaction;

use crate::connection::{Error, prepared};

pub(super) async fn note_passed(client: &Transaction<'_>) -> Result<Vec<i64>, Error> {
    let rows = prepared::query(client, "-- revoke::horizon::passed::note_passed
            with prepared as materialized (
                select coalesce(array_agg(p.transaction::text), '{}') as ids from pg_catalog.pg_prepared_xacts p
            ), passed as materialized (
                select h.id
                from session_reaper.horizon h
                where h.passed_at is null
                  and h.prepared_transactions is not null
                  and not h.prepared_transactions && (select p.ids from prepared p)
                for update skip locked
            )
            update session_reaper.horizon h
            set passed_at = clock_timestamp()
            where h.id = any (array(select p.id from passed p))
            returning h.id", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Transaction ids that are given out from now on belong to transactions that were not running at these changes, so what
/// they link is newer, whatever the clock shows by then (P2). Asked in a later statement than the one that saw the last
/// of them end, which may have had the greatest id. Where the wait is cut short, nothing is noted.
pub(super) async fn date_newer(client: &Transaction<'_>, passed: &[i64]) -> Result<(), Error> {
    if passed.is_empty() {
        return Ok(());
    }
    prepared::execute(client, "-- revoke::horizon::passed::date_newer
            update session_reaper.change c
            set newer_from = pg_snapshot_xmax(pg_current_snapshot())
            where c.id = any (array(
                select f.id
                from session_reaper.change f
                where f.newer_from is null
                  and f.id in (select r.change_id from session_reaper.revocation r where r.horizon_id = any ($1))
                for no key update skip locked))", &[&passed]).await?;
    Ok(())
}

/// A transaction that is left open for ever must not keep revocations open for ever, but it must not go unnoticed.
pub(super) async fn stop_waiting(client: &Transaction<'_>, cap_s: u64) -> Result<(), Error> {
    let rows = prepared::query(client, "-- revoke::horizon::passed::stop_waiting
            with capped as (
                update session_reaper.horizon h
                set passed_at = clock_timestamp()
                where h.id = any (array(
                    select f.id
                    from session_reaper.horizon f
                    where f.passed_at is null
                      and f.captured_at < clock_timestamp() - $1::double precision * interval '1 second'
                    for update skip locked))
                returning h.id, h.virtual_transactions, h.prepared_transactions
            )
            update session_reaper.revocation r
            set waited_out = true
            from capped c
            where r.horizon_id = c.id and r.state = 'revoked'
            returning r.id", &[&(cap_s as f64)]).await?;
    if !rows.is_empty() {
        tracing::warn!(
            revocations = rows.len(),
            waited_s = cap_s,
            "stopped waiting for a transaction that was open at the change; if it opened an older session, that session stays"
        );
    }
    Ok(())
}
