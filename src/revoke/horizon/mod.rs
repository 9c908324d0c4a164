//! The only file that knows the table of horizons: which transactions were running when revocations had become
//! visible, and whether they have ended.

mod passed;

use deadpool_postgres::Transaction;

use crate::connection::{Database, Error, prepared};
use passed::{date_newer, note_passed, stop_waiting};

/// Notes which transactions are running for the revocations that have no horizon yet, and moves every horizon on as far
/// as it goes now. Each step is its own statement, because each has to see what came before it; READ COMMITTED gives
/// each a fresh look. All are one transaction, because a pooler in transaction mode would scatter them.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub async fn advance(database: &Database, cap_s: u64) -> Result<(), Error> {
    database
        .work(async |mut client| {
            let transaction = client.transaction().await?;
            capture(&transaction).await?;
            look_again(&transaction).await?;
            note_ended(&transaction).await?;
            note_prepared(&transaction).await?;
            let passed = note_passed(&transaction).await?;
            date_newer(&transaction, &passed).await?;
            stop_waiting(&transaction, cap_s).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
}

/// One horizon for all revocations that have none. The revocations are visible to this statement's snapshot, and
/// pg_locks is read after that was taken: no transaction that ran at the change can be missed. Autovacuum workers,
/// which have no user, write no sessions and may run for hours.
async fn capture(client: &Transaction<'_>) -> Result<(), Error> {
    prepared::execute(client, "-- revoke::horizon::capture
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
            where r.id = f.id", &[]).await?;
    Ok(())
}

/// A transaction that began after the change may have imported the snapshot of one that ran before
/// (`pg_export_snapshot`), and read the old password there. It holds that snapshot to its end, and has held it since
/// before the last of those ended. So a transaction that sees as little as they did is waited for, too. It may have
/// imported nothing; that costs one more wait.
///
/// Only what has ended is locked, here and below: a row lock is written to the WAL, and mere waiting must cost nothing,
/// however many horizons one idle transaction holds open. Horizons that a replica is looking at are passed over: two
/// daemons that updated the same rows in different orders would wait for each other.
async fn look_again(client: &Transaction<'_>) -> Result<(), Error> {
    // Within a transaction the server keeps giving its first answer, which was from before they had ended.
    client
        .execute("select pg_catalog.pg_stat_clear_snapshot()", &[])
        .await?;
    prepared::execute(client, "-- revoke::horizon::look_again
            with running as materialized (
                select coalesce(array_agg(l.virtualxid), '{}') as ids
                from pg_catalog.pg_locks l
                where l.locktype = 'virtualxid' and l.granted
            ), ended as materialized (
                select f.id
                from session_reaper.horizon f
                where not f.looked_again and f.passed_at is null
                  and (f.server_started_at <> pg_postmaster_start_time()
                    or not f.virtual_transactions && (select r.ids from running r))
                for update skip locked
            )
            update session_reaper.horizon h
            set looked_again = true,
                virtual_transactions = array(
                    select l.virtualxid
                    from pg_catalog.pg_locks l
                    cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
                    where l.locktype = 'virtualxid'
                      and l.granted
                      and l.pid is not null
                      and l.pid <> pg_backend_pid()
                      and a.usesysid is not null
                      and a.datid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
                      and age(a.backend_xmin) > age(h.seen_before::xid))
            where h.id = any (array(select e.id from ended e))", &[]).await?;
    Ok(())
}

async fn note_ended(client: &Transaction<'_>) -> Result<(), Error> {
    prepared::execute(
        client,
        "-- revoke::horizon::note_ended
            with running as materialized (
                select coalesce(array_agg(l.virtualxid), '{}') as ids
                from pg_catalog.pg_locks l
                where l.locktype = 'virtualxid' and l.granted
            ), ended as materialized (
                select f.id
                from session_reaper.horizon f
                where f.looked_again and f.ended_at is null and f.passed_at is null
                  and (f.server_started_at <> pg_postmaster_start_time()
                    or not f.virtual_transactions && (select r.ids from running r))
                for update skip locked
            )
            update session_reaper.horizon h
            set ended_at = clock_timestamp()
            where h.id = any (array(select e.id from ended e))",
        &[],
    )
    .await?;
    Ok(())
}

/// In a later statement than the one that saw them end; see the module.
async fn note_prepared(client: &Transaction<'_>) -> Result<(), Error> {
    prepared::execute(client, "-- revoke::horizon::note_prepared
            update session_reaper.horizon h
            set prepared_transactions = array(
                select p.transaction::text
                from pg_catalog.pg_prepared_xacts p
                where p.database = current_database())
            where h.id = any (array(select f.id from session_reaper.horizon f
                                    where f.passed_at is null and f.ended_at is not null and f.prepared_transactions is null
                                    for update skip locked))", &[]).await?;
    Ok(())
}
