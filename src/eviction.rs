//! The only room that knows the table of evictions: which deleted sessions the cache beside the table has to forget.

use tokio_postgres::Row;

use crate::connection::{Error, Pool};

/// Sessions that are due. They have left the database for the cache's sake alone, and are shown nowhere (P7).
#[derive(Default)]
pub struct Due {
    ids: Vec<i64>,
    are_last: Vec<bool>,
    /// Their keys.
    pub session_keys: Vec<String>,
}

/// Takes up to `most` that were never evicted, and as many whose grace has passed.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn take(pool: &Pool, most: u32, grace_s: u64) -> Result<Due, Error> {
    let rows = pool
        .get()
        .await?
        .query(
            "-- eviction::take
            select e.id, e.is_last, e.key_text from session_reaper.take_evictions($1, $2) e",
            &[&i32::try_from(most).unwrap_or(i32::MAX), &(grace_s as f64)],
        )
        .await?;
    let mut due = Due::default();
    for row in &rows {
        due.ids.push(row.get(0));
        due.are_last.push(row.get(1));
        due.session_keys.push(row.get(2));
    }
    Ok(due)
}

/// The cache has forgotten these; returns how many sessions are done with.
///
/// # Errors
/// When the database cannot be reached or refuses the statement; they are then evicted again.
pub async fn confirm(pool: &Pool, due: &Due) -> Result<i64, Error> {
    let row = pool
        .get()
        .await?
        .query_one(
            "-- eviction::confirm
            select session_reaper.confirm_evictions($1, $2)",
            &[&due.ids, &due.are_last],
        )
        .await?;
    Ok(row.get(0))
}

/// The cache has not confirmed.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn failed(pool: &Pool, error: &str) -> Result<(), Error> {
    pool.get()
        .await?
        .execute(
            "-- eviction::failed
            select session_reaper.eviction_failed($1)",
            &[&error],
        )
        .await?;
    Ok(())
}

/// What became of a batch in a cache that is a table.
pub struct Evicted {
    /// Sessions that were due.
    pub taken: i64,
    /// Entries that somebody held; they are tried again.
    pub postponed: i64,
}

/// The same where the cache is a table of this database; it calls an entry by these texts around a session's key.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn evict_from_table(
    pool: &Pool,
    most: u32,
    grace_s: u64,
    pieces: &[String],
) -> Result<Evicted, Error> {
    let row: Row = pool
        .get()
        .await?
        .query_one(
            "-- eviction::evict_from_table
            select e.taken, e.postponed from session_reaper.evict_from_table($1, $2, $3) e",
            &[
                &i32::try_from(most).unwrap_or(i32::MAX),
                &(grace_s as f64),
                &pieces,
            ],
        )
        .await?;
    Ok(Evicted {
        taken: row.get(0),
        postponed: row.get(1),
    })
}
