//! The only room that knows the table of evictions: which deleted sessions the cache beside the table has to forget.

use std::ops::Range;

use crate::{
    connection::{Database, Error},
    worker::{halving::Halves, size::Size},
};

/// Most keys in one go.
pub const BATCH_KEYS: u32 = 10_000;

/// Sessions that are due. Their keys have left the database only for the cache's sake, and are shown nowhere (P7).
#[derive(Default)]
pub struct Due {
    ids: Vec<i64>,
    are_last: Vec<bool>,
    /// Their keys.
    pub session_keys: Vec<String>,
    /// Those whose keys are not text that an entry's name could contain.
    nameless: Vec<i64>,
}

/// Whether anything waits to be evicted.
pub async fn is_any(database: &Database) -> Result<bool, Error> {
    let row = database
        .query_one(
            "-- evict::pending::is_any
            select exists (select from session_reaper.pending_eviction)",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Takes up to `most` that were never evicted, and as many whose grace has passed.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn take(database: &Database, most: u32, grace_s: u64) -> Result<Due, Error> {
    let rows = database
        .query(
            "-- evict::pending::take
            select e.id, e.is_last, session_reaper.text_of(e.key_text) from session_reaper.take_evictions($1, $2) e",
            &[&i32::try_from(most).unwrap_or(i32::MAX), &(grace_s as f64)],
        )
        .await?;
    let mut due = Due::default();
    for row in rows {
        let key = row.get::<_, Option<Vec<u8>>>(2).map(String::from_utf8);
        match key.and_then(Result::ok) {
            Some(key) => {
                due.ids.push(row.get(0));
                due.are_last.push(row.get(1));
                due.session_keys.push(key);
            }
            None => due.nameless.push(row.get(0)),
        }
    }
    Ok(due)
}

/// Counts those whose keys no entry's name can contain, and is done with them: otherwise they would be due for ever.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn set_nameless_aside(database: &Database, due: &Due) -> Result<(), Error> {
    let count = i64::try_from(due.nameless.len()).unwrap_or(i64::MAX);
    if count > 0 {
        database.execute(
                "-- evict::pending::set_nameless_aside
                select session_reaper.confirm_evictions($1, array_fill(true, array[$2::bigint::integer])),
                    session_reaper.count_unreadable(array['nameless'], array[$2::bigint])",
                &[&due.nameless, &count],
            )
            .await?;
    }
    Ok(())
}

/// The cache has forgotten these; returns how many sessions are done with.
///
/// # Errors
/// When the database cannot be reached or refuses the statement; they are then evicted again.
pub async fn confirm(database: &Database, due: &Due) -> Result<i64, Error> {
    let row = database
        .query_one(
            "-- evict::pending::confirm
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
pub async fn failed(database: &Database, error: &str) -> Result<(), Error> {
    database
        .execute(
            "-- evict::pending::failed
            select session_reaper.eviction_failed($1)",
            &[&error],
        )
        .await?;
    Ok(())
}

/// What became of a batch in a cache that is a table.
#[derive(Default)]
pub struct Evicted {
    /// Entries that another transaction held; they are tried again.
    pub postponed: i64,
    /// SQLSTATE of what keeps an entry from being deleted.
    pub refused: Option<String>,
}

/// The same where the cache is a table of this database; it names an entry by these texts around a session's key. An
/// entry that cannot be deleted, or not in time, stays due, and holds up no other.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn evict_from_table(
    database: &Database,
    due: &Due,
    pieces: &[String],
    size: &Size,
) -> Result<Evicted, Error> {
    let mut all = Evicted::default();
    let at_once = || size.of(BATCH_KEYS) as usize;
    let mut halves = Halves::of_parts(due.ids.len(), at_once());
    while let Some(part) = halves.next() {
        let evicted = evict_part(database, due, part.clone(), pieces).await;
        let sqlstate = match size.note(evicted) {
            Ok((postponed, None)) => {
                all.postponed += postponed;
                continue;
            }
            Ok((_, Some(sqlstate))) => sqlstate,
            Err(error) if error.is_out_of_time() => {
                size.was_too_much(BATCH_KEYS, part.len());
                error
                    .sqlstate()
                    .map_or_else(String::new, |state| state.code().to_owned())
            }
            Err(error) => return Err(error),
        };
        if halves.failed(part).is_some() {
            all.refused = Some(sqlstate);
        }
        halves.cut(at_once());
    }
    Ok(all)
}

/// How many of these were locked, and the SQLSTATE of what fails on one of them.
async fn evict_part(
    database: &Database,
    due: &Due,
    part: Range<usize>,
    pieces: &[String],
) -> Result<(i64, Option<String>), Error> {
    let row = database
        .query_one(
            "-- evict::pending::evict_part
            select e.postponed, e.refused from session_reaper.evict_from_table($1, $2, $3) e",
            &[&&due.ids[part.clone()], &&due.are_last[part], &pieces],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}
