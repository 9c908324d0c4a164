//! The only file that knows the table of horizons: which transactions were running when revocations had become
//! visible, and whether they have ended.

use tokio_postgres::Transaction;

use crate::connection::{Error, Pool};

/// Notes who is running for the revocations that have no horizon yet, and moves every horizon on as far as
/// it goes now. Each step is a statement of its own, because each has to see what came before it; READ COMMITTED
/// gives each a fresh look. One transaction, because a pooler in transaction mode would scatter them.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn advance(pool: &Pool, cap_s: u64) -> Result<(), Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    capture(&transaction).await?;
    note_ended(&transaction).await?;
    note_prepared(&transaction).await?;
    note_passed(&transaction).await?;
    stop_waiting(&transaction, cap_s).await?;
    transaction.commit().await?;
    Ok(())
}

/// One horizon for all revocations that have none. The revocations are visible to this statement's snapshot,
/// and pg_locks is read after that was taken: nobody who ran at the change can be missed. Autovacuum workers,
/// which have no user, write no sessions and may run for hours.
async fn capture(client: &Transaction<'_>) -> Result<(), Error> {
    client
        .execute(
            "-- settler::capture
            with fresh as materialized (
                select r.id
                from session_reaper.revocation r
                where r.state = 'revoked' and r.horizon_id is null
                order by r.id
                limit 10000
                for update skip locked
            ), captured as (
                insert into session_reaper.horizon (virtual_transactions)
                select coalesce(array_agg(l.virtualxid), '{}')
                from pg_catalog.pg_locks l
                cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
                where l.locktype = 'virtualxid'
                  and l.granted
                  and l.pid is not null
                  and l.pid <> pg_backend_pid()
                  and a.usesysid is not null
                  and a.datid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
                having exists (select from fresh)
                returning id
            )
            update session_reaper.revocation r
            set horizon_id = h.id
            from fresh f, captured h
            where r.id = f.id",
            &[],
        )
        .await?;
    Ok(())
}

/// Horizons that a replica is looking at are passed over here and below: two daemons that updated the same rows
/// in different orders would wait for each other.
async fn note_ended(client: &Transaction<'_>) -> Result<(), Error> {
    client
        .execute(
            "-- settler::note_ended
            update session_reaper.horizon h
            set ended_at = clock_timestamp()
            where h.id = any (array(select f.id from session_reaper.horizon f
                                    where f.ended_at is null and f.passed_at is null for update skip locked))
              and (h.server_started_at <> pg_postmaster_start_time()
                or not exists (
                    select
                    from pg_catalog.pg_locks l
                    where l.locktype = 'virtualxid' and l.granted and l.virtualxid = any (h.virtual_transactions)))",
            &[],
        )
        .await?;
    Ok(())
}

/// In a later statement than the one that saw them end; see the module.
async fn note_prepared(client: &Transaction<'_>) -> Result<(), Error> {
    client
        .execute(
            "-- settler::note_prepared
            update session_reaper.horizon h
            set prepared_transactions = array(
                select p.transaction::text
                from pg_catalog.pg_prepared_xacts p
                where p.database = current_database())
            where h.id = any (array(select f.id from session_reaper.horizon f
                                    where f.ended_at is not null and f.prepared_transactions is null
                                    for update skip locked))",
            &[],
        )
        .await?;
    Ok(())
}

async fn note_passed(client: &Transaction<'_>) -> Result<(), Error> {
    client
        .execute(
            "-- settler::note_passed
            update session_reaper.horizon h
            set passed_at = clock_timestamp()
            where h.id = any (array(select f.id from session_reaper.horizon f
                                    where f.prepared_transactions is not null and f.passed_at is null
                                    for update skip locked))
              and not exists (
                select
                from pg_catalog.pg_prepared_xacts p
                where p.transaction::text = any (h.prepared_transactions))",
            &[],
        )
        .await?;
    Ok(())
}

/// A transaction that is left open for ever must not keep revocations open for ever; but it must not hide.
async fn stop_waiting(client: &Transaction<'_>, cap_s: u64) -> Result<(), Error> {
    let rows = client
        .query(
            "-- settler::stop_waiting
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
            returning r.id",
            &[&(cap_s as f64)],
        )
        .await?;
    if !rows.is_empty() {
        tracing::warn!(
            revocations = rows.len(),
            waited_s = cap_s,
            "stopped waiting for a transaction that was open at the change; if it opened an older session, that session stays"
        );
    }
    Ok(())
}
