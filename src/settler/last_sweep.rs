//! The last sweep of a revocation, after which it is settled, or tried again.

use deadpool_postgres::Transaction;

use crate::{
    connection::{Error, Pool},
    reader::Reader,
    revocation::{
        self,
        open::{self, Marked},
        sweep,
    },
    settings::Revoke,
};

/// Sweeps that had to skip a row before one row is waited for.
const SKIPS_BEFORE_WAITING: i32 = 3;

/// What came of it.
pub(super) struct Finished {
    /// Sessions that it still found.
    pub sessions: i64,
    /// The numbers of revocations that are settled now.
    pub settled: Vec<i64>,
    /// Those that have found a row locked too often.
    pub contested: Vec<i64>,
}

/// The last sweep, and the mark only where a later look finds that it left nothing behind.
pub(super) async fn finish(pool: &Pool, settings: &Revoke) -> Result<Finished, Error> {
    let mut client = pool.get().await?;
    let transaction = revocation::begin(&mut client).await?;
    let ready = open::ready(&transaction, settings).await?;
    let ids: Vec<i64> = ready.iter().map(|(id, _)| *id).collect();
    if ids.is_empty() {
        return Ok(Finished {
            sessions: 0,
            settled: Vec::new(),
            contested: Vec::new(),
        });
    }
    let sessions = sweep(&transaction, &ids, settings).await?;
    let marked = open::mark_settled(&transaction, &ids, settings.write_back_grace_s).await?;
    let mut settled: Vec<i64> = marked
        .iter()
        .filter(|marked| marked.settled)
        .map(|marked| marked.id)
        .collect();
    revocation::tell(&transaction, &settled, settings).await?;
    transaction.commit().await?;
    marked.iter().for_each(complain);
    // Rows come back in any order.
    settled.sort_unstable();
    let contested = ready
        .into_iter()
        .filter(|(id, attempts)| *attempts >= SKIPS_BEFORE_WAITING && !settled.contains(id))
        .map(|(id, _)| id)
        .collect();
    Ok(Finished {
        sessions,
        settled,
        contested,
    })
}

/// A session that the database refuses to delete is tried again for ever, and said less and less often.
fn complain(marked: &Marked) {
    if let Some(sqlstate) = &marked.last_error
        && marked.attempts.count_ones() == 1
    {
        tracing::error!(
            revocation = marked.id,
            sqlstate,
            attempts = marked.attempts,
            "a session cannot be deleted, perhaps because of a trigger of the site's; this revocation stays open, the others go on"
        );
    }
}

/// Waits for one session that sweeps had to pass over, in a transaction that holds no other, and reads what stands in it.
/// That it may have to wait again is no error.
pub(super) async fn wait_for_one(
    pool: &Pool,
    id: i64,
    settings: &Revoke,
    reader: &Reader,
) -> Result<i64, Error> {
    let mut client = pool.get().await?;
    let transaction = revocation::begin(&mut client).await?;
    match end_contested(&transaction, id, settings, reader).await {
        Ok(sessions) => {
            transaction.commit().await?;
            Ok(sessions)
        }
        Err(error) if error.is_lock_timeout() => Ok(0),
        Err(error) => Err(error),
    }
}

async fn end_contested(
    transaction: &Transaction<'_>,
    id: i64,
    settings: &Revoke,
    reader: &Reader,
) -> Result<i64, Error> {
    reader.read_contested(transaction, id).await?;
    sweep(transaction, &[id], settings).await
}
