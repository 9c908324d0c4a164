//! When the write-back grace of a revocation begins, and when it is over.

use deadpool_postgres::Transaction;

use crate::connection::{Database, Error, prepared};

/// Dates what was noted by transactions that have committed since. The transaction that ends a session cannot
/// date it: it may commit much later, because its daemon is stopped or because the app has only prepared it,
/// and until then every request still finds the session and may write it back.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn begin(database: &Database) -> Result<(), Error> {
    database
        .execute_prepared(
            "-- revoke::grace::begin
            update session_reaper.revocation r
            set remembered_at = clock_timestamp()
            where r.id = any (array(
                select f.id
                from session_reaper.revocation f
                where f.state = 'revoked' and f.remembered_at = 'infinity'
                order by f.id
                limit 10000
                for update skip locked))",
            &[],
        )
        .await
}

/// Makes keys whose grace is over count as new, in the transaction that has just swept these revocations. A user who
/// logs in under such a key again must not have to wait for the last transaction that a revocation waits for (P2).
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn end(transaction: &Transaction<'_>, ids: &[i64], grace_s: u64) -> Result<(), Error> {
    prepared::execute(
        transaction,
        "-- revoke::grace::end
            select session_reaper.end_grace($1, $2)",
        &[&ids, &(grace_s as f64)],
    )
    .await?;
    Ok(())
}
