//! The last sweep of a revocation, after which it is settled, or tried again.

use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::table::{
    self,
    open::{self, Marked},
    round::Round,
    sweep,
};
use crate::{
    connection::{Database, Error},
    link::linker::Linker,
    settings::Revoke,
};

/// Sweeps that had to skip a row before one row is waited for.
const SKIPS_BEFORE_WAITING: i32 = 3;

/// What came of it.
#[derive(Default)]
pub(super) struct Finished {
    /// Sessions that it still found.
    pub sessions: i64,
    /// The numbers of revocations that are settled now.
    pub settled: Vec<i64>,
    /// Those that have found a row locked too often.
    pub contested: Vec<i64>,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// Does the last sweep, and marks a revocation only where a later look finds that nothing was left behind.
pub(super) async fn finish(
    database: &Database,
    round: &mut Round,
    settings: &Revoke,
) -> Result<Finished, Error> {
    database
        .work(async |mut client| {
            let transaction = client.transaction().await?;
            let window = open::ready(&transaction, round, settings).await?;
            let mut finished = Finished {
                more: round.is_under_way(),
                ..Finished::default()
            };
            let ready = open::lock_ready(&transaction, &window).await?;
            let mut ids: Vec<i64> = ready.iter().map(|(id, _)| *id).collect();
            if ids.is_empty() {
                return Ok(finished);
            }
            let swept = sweep(&transaction, &ids, settings).await?;
            // The batch was too small for these. None of their sessions was locked, so they are not contested.
            finished.more |= !swept.unswept.is_empty();
            ids.retain(|id| !swept.unswept.contains(id));
            let marked =
                open::mark_settled(&transaction, &ids, settings.write_back_grace_s).await?;
            let settled = marked.iter().filter(|marked| marked.settled);
            finished.settled = settled.map(|marked| marked.id).collect();
            // Rows come back in any order.
            finished.settled.sort_unstable();
            table::tell(&transaction, &finished.settled, settings).await?;
            transaction.commit().await?;
            marked.iter().for_each(complain);
            finished.sessions = swept.sessions;
            finished.contested = ready
                .into_iter()
                .filter(|(id, attempts)| {
                    *attempts >= SKIPS_BEFORE_WAITING
                        && ids.contains(id)
                        && finished.settled.binary_search(id).is_err()
                })
                .map(|(id, _)| id)
                .collect();
            Ok(finished)
        })
        .await
}

/// A session that the database refuses to delete is tried again for ever, and reported less and less often.
fn complain(marked: &Marked) {
    if let Some(sqlstate) = &marked.last_error
        && marked.attempts.count_ones() == 1
    {
        let (revocation, attempts) = (marked.id, marked.attempts);
        if is_in_the_way(sqlstate) {
            tracing::warn!(
                revocation,
                sqlstate,
                attempts,
                "a session is kept locked by another transaction; this revocation stays open, the others go on"
            );
        } else {
            tracing::error!(
                revocation,
                sqlstate,
                attempts,
                "a session cannot be deleted, perhaps because of a trigger of the site's; this revocation stays open, the others go on"
            );
        }
    }
}

/// Another transaction holds a row or a table, such as that of `session-reaper pause` or of one of the site's
/// migrations: nothing in the site refuses the deletion.
fn is_in_the_way(sqlstate: &str) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ]
    .iter()
    .any(|state| state.code() == sqlstate)
}

/// Waits for one session that sweeps had to pass over, in a transaction that holds no other, and reads what it holds.
/// Having to wait again is no error.
pub(super) async fn wait_for_one(
    database: &Database,
    id: i64,
    settings: &Revoke,
    linker: &Linker,
) -> Result<i64, Error> {
    database
        .work(async |mut client| {
            let transaction = client.transaction().await?;
            match end_contested(&transaction, id, settings, linker).await {
                Ok(sessions) => {
                    transaction.commit().await?;
                    Ok(sessions)
                }
                Err(error) if error.is_lock_timeout() => {
                    transaction.rollback().await?;
                    open::note_locked(&client, id).await?;
                    Ok(0)
                }
                Err(error) => Err(error),
            }
        })
        .await
}

async fn end_contested(
    transaction: &Transaction<'_>,
    id: i64,
    settings: &Revoke,
    linker: &Linker,
) -> Result<i64, Error> {
    linker.link_contested(transaction, id).await?;
    Ok(sweep(transaction, &[id], settings).await?.sessions)
}
