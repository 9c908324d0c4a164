//! Whether there is anything to read. Asked all the time, and mostly answered with no, so nothing is locked: a row lock
//! takes a transaction id and is written to the WAL.

use crate::connection::{Database, Error};

/// What there is to read.
pub struct Waiting {
    /// Rows of the queue.
    pub queued: bool,
    /// The queue has grown so large that it takes nothing more.
    pub is_full: bool,
    /// Pages of the table.
    pub pages: bool,
}

/// Looks at everything.
pub async fn look(database: &Database) -> Result<Waiting, Error> {
    let row = database
        .query_one_prepared(
            "-- link::waiting::look
            select session_reaper.is_any_link_pending(), session_reaper.is_queue_full(),
                exists (select from session_reaper.backfill t where not t.complete)
                    or exists (select from session_reaper.page p where not p.done)
                    or exists (select from session_reaper.missed m where m.what = 'write')",
            &[],
        )
        .await?;
    Ok(Waiting {
        queued: row.get(0),
        is_full: row.get(1),
        pages: row.get(2),
    })
}

/// Whether the queue holds anything that has been committed.
pub async fn is_any_link_pending(database: &Database) -> Result<bool, Error> {
    let row = database
        .query_one_prepared(
            "-- link::waiting::is_any_link_pending
            select session_reaper.is_any_link_pending()",
            &[],
        )
        .await?;
    Ok(row.get(0))
}
