//! The queue of pending links: takes writes of sessions off it, and links what is found in them. The session table
//! itself is the business of `pages.rs`.
//!
//! Keys never leave the database: data comes with a handle, and what was found in it goes back with that (P7). Data is
//! read as it arrives, so that a batch of large sessions takes no more memory than one of them.

use std::{collections::BTreeMap, ops::Range};

use deadpool_postgres::Transaction;

use super::rows::{MOST_BYTES, each, look, user};
use crate::{
    codec::{Found, Reason},
    connection::{Error, prepared},
    worker::halving::Halves,
};

/// Rows of the queue, and what was found in their sessions.
#[derive(Debug, Default)]
pub struct Pending {
    /// Handles of the rows.
    places: Vec<String>,
    /// What was found in each one's session; nothing where that is gone.
    pub found: Vec<Option<Found>>,
    /// Up to where the queue is empty once these are done; none if there was more than was asked for.
    drained_to: Option<String>,
    /// Whether there was no more.
    pub is_all: bool,
}

/// Locks the queue, and takes and reads up to `most` rows; `anew` looks at it from its beginning.
pub async fn take_pending_links(
    transaction: &Transaction<'_>,
    most: u32,
    anew: bool,
    find_user: impl Fn(&[u8]) -> Found,
) -> Result<Pending, Error> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let statement = "-- link::queue::take_pending_links
        select u.place, u.session_number, u.data, u.is_refused, u.seen::text
        from session_reaper.take_pending_links($1, $2, $3) u";
    let mut pending = Pending::default();
    let (mut last_session, mut bytes) = (None, 0);
    each(
        transaction,
        statement,
        &[&most, &anew, &MOST_BYTES],
        |row| {
            let session: i64 = row.get(1);
            // Rows of one session come together, and the first one has its data.
            let found = if last_session == Some(session) {
                pending.found.last().cloned().flatten()
            } else {
                look(row, 2, 3, &find_user)
            };
            last_session = Some(session);
            bytes += row.get::<_, Option<&[u8]>>(2).map_or(0, <[u8]>::len);
            pending.places.push(row.get(0));
            pending.found.push(found);
            pending.drained_to = row.get(4);
        },
    )
    .await?;
    let is_cut = i32::try_from(bytes).map_or(true, |bytes| bytes >= MOST_BYTES);
    pending.is_all = !is_cut && i32::try_from(pending.places.len()).is_ok_and(|count| count < most);
    Ok(pending)
}

/// Waits for a session that a revocation could not end, and takes and reads those of its rows that are in the queue.
pub async fn take_contested(
    transaction: &Transaction<'_>,
    revocation: i64,
    find_user: impl Fn(&[u8]) -> Found,
) -> Result<Pending, Error> {
    let statement = "-- link::queue::take_contested
        select c.place, c.data, c.is_refused from session_reaper.take_contested($1) c";
    let mut pending = Pending::default();
    each(transaction, statement, &[&revocation], |row| {
        let found = match pending.found.first() {
            Some(found) => found.clone(),
            None => look(row, 1, 2, &find_user),
        };
        pending.places.push(row.get(0));
        pending.found.push(found);
    })
    .await?;
    Ok(pending)
}

/// What became of rows of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Links that were made.
    pub linked: i64,
    /// Rows that were put back, because a session or a user was locked.
    pub postponed: i64,
}

/// Takes the rows off the queue, so many at once, and links the sessions that have a user. One that the database
/// refuses to link is counted and taken off, too, like one that cannot be read: otherwise it would be tried for ever.
pub async fn link_pending(
    transaction: &Transaction<'_>,
    pending: &mut Pending,
    at_once: usize,
) -> Result<Linked, Error> {
    let mut all = Linked::default();
    let mut halves = Halves::of_parts(pending.places.len(), at_once);
    while let Some(part) = halves.next() {
        match try_to_link(transaction, pending, part.clone()).await? {
            Some(linked) => {
                all.linked += linked.linked;
                all.postponed += linked.postponed;
            }
            None => {
                if let Some(row) = halves.failed(part) {
                    pending.found[row] = Some(Found::Unreadable(Reason::NotLinkable));
                    try_to_link(transaction, pending, row..row + 1).await?;
                }
            }
        }
    }
    Ok(all)
}

/// Nothing where the database refuses one of these rows.
async fn try_to_link(
    transaction: &Transaction<'_>,
    pending: &Pending,
    part: Range<usize>,
) -> Result<Option<Linked>, Error> {
    let kind = |found: &Option<Found>| match found {
        Some(Found::User(_)) => b'u' as i8,
        Some(Found::Anonymous) => b'a' as i8,
        Some(Found::Unreadable(_)) | None => b'x' as i8,
    };
    let found = &pending.found[part.clone()];
    let kinds: Vec<i8> = found.iter().map(kind).collect();
    let users: Vec<Option<&[u8]>> = found.iter().map(|found| user(found.as_ref())).collect();
    // Where there was more, or some have failed, the next look begins where this one did.
    let is_whole = part.len() == pending.places.len();
    let drained_to = pending
        .drained_to
        .as_ref()
        .filter(|_| pending.is_all && is_whole);
    let row = prepared::query_one(
        transaction,
        "-- link::queue::try_to_link
        select l.linked, l.postponed, l.is_refused
        from session_reaper.try_link_pending($1, $2, $3, $4::text::pg_snapshot) l",
        &[&&pending.places[part], &kinds, &users, &drained_to],
    )
    .await?;
    Ok((!row.get::<_, bool>(2)).then(|| Linked {
        linked: row.get(0),
        postponed: row.get(1),
    }))
}

/// Counts data in which no user could be found, by what was wrong with it; returns these words.
pub async fn count_unreadable(
    transaction: &Transaction<'_>,
    found: &[Option<Found>],
) -> Result<Vec<&'static str>, Error> {
    let mut counts = BTreeMap::<&'static str, i64>::new();
    for found in found {
        if let Some(Found::Unreadable(reason)) = found {
            *counts.entry(reason.as_str()).or_default() += 1;
        }
    }
    let (reasons, writes): (Vec<&'static str>, Vec<i64>) = counts.into_iter().unzip();
    if !reasons.is_empty() {
        transaction
            .execute(
                "-- link::queue::count_unreadable
                select session_reaper.count_unreadable($1, $2)",
                &[&reasons, &writes],
            )
            .await?;
    }
    Ok(reasons)
}

/// Empties the queue if it has grown so large that it takes nothing more; the table is then read anew.
pub async fn empty_full_queue(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let row = transaction
        .query_one(
            "-- link::queue::empty_full_queue
            select session_reaper.is_queue_full() and session_reaper.empty_queue()",
            &[],
        )
        .await?;
    Ok(row.get(0))
}
