//! The only room that knows the tables of what is still to be read: which sessions have been written, and how far the
//! session table itself has been read.
//!
//! Keys never leave the database: data comes with a handle, and what was found in it goes back with that (P7). Data is
//! read as it arrives, so that a batch of large sessions takes no more memory than one of them.

pub mod page;

use std::{collections::BTreeMap, pin::pin};

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt;
use tokio_postgres::{Row, types::ToSql};

use crate::{codec::Found, connection::Error};

/// Rows of the queue, and what was found in their sessions.
#[derive(Debug, Default)]
pub struct Unread {
    /// Handles of the rows.
    places: Vec<String>,
    /// What was found in each one's session; nothing where that is gone.
    pub found: Vec<Option<Found>>,
    /// Up to where the queue is empty once these are done; none if there was more than asked for.
    read_to: Option<String>,
    /// Whether there was no more.
    pub is_all: bool,
}

/// Locks the queue, and takes and reads up to `most` rows; `anew` looks at it from its beginning.
pub async fn take_unread(
    transaction: &Transaction<'_>,
    most: u32,
    anew: bool,
    find_user: impl Fn(&[u8]) -> Found,
) -> Result<Unread, Error> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let statement = "-- reading::take_unread
        select u.place, u.session_number, u.data, u.seen::text from session_reaper.take_unread($1, $2) u";
    let mut unread = Unread::default();
    let mut last_session = None;
    each(transaction, statement, &[&most, &anew], |row| {
        let session: i64 = row.get(1);
        // Rows of one session stand together, and the first one has its data.
        let found = if last_session == Some(session) {
            unread.found.last().cloned().flatten()
        } else {
            row.get::<_, Option<&[u8]>>(2).map(&find_user)
        };
        last_session = Some(session);
        unread.places.push(row.get(0));
        unread.found.push(found);
        unread.read_to = row.get(3);
    })
    .await?;
    unread.is_all = i32::try_from(unread.places.len()).is_ok_and(|count| count < most);
    Ok(unread)
}

/// Waits for a session that a revocation could not end, and takes and reads those of its rows that are in the queue.
pub async fn take_contested(
    transaction: &Transaction<'_>,
    revocation: i64,
    find_user: impl Fn(&[u8]) -> Found,
) -> Result<Unread, Error> {
    let statement = "-- reading::take_contested
        select c.place, c.data from session_reaper.take_contested($1) c";
    let mut unread = Unread::default();
    each(transaction, statement, &[&revocation], |row| {
        unread.places.push(row.get(0));
        unread
            .found
            .push(row.get::<_, Option<&[u8]>>(1).map(&find_user));
    })
    .await?;
    Ok(unread)
}

/// What became of rows of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Links that were made.
    pub linked: i64,
    /// Rows that were put back, because a session or a user was locked.
    pub postponed: i64,
}

/// Takes the rows off the queue, and links the sessions that have a user.
pub async fn link_unread(transaction: &Transaction<'_>, unread: &Unread) -> Result<Linked, Error> {
    let kind = |found: &Option<Found>| match found {
        Some(Found::User(_)) => b'u' as i8,
        Some(Found::Anonymous) => b'a' as i8,
        Some(Found::Unreadable(_)) | None => b'x' as i8,
    };
    let kinds: Vec<i8> = unread.found.iter().map(kind).collect();
    let users: Vec<Option<&[u8]>> = unread
        .found
        .iter()
        .map(|found| user(found.as_ref()))
        .collect();
    // Where there was more, the next look begins where this one did.
    let read_to = unread.read_to.as_ref().filter(|_| unread.is_all);
    let row = transaction
        .query_one(
            "-- reading::link_unread
            select l.linked, l.postponed
            from session_reaper.link_unread($1, $2, $3, $4::text::pg_snapshot) l",
            &[&unread.places, &kinds, &users, &read_to],
        )
        .await?;
    Ok(Linked {
        linked: row.get(0),
        postponed: row.get(1),
    })
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
                "-- reading::count_unreadable
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
            "-- reading::empty_full_queue
            select session_reaper.is_queue_full() and session_reaper.empty_queue()",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

fn user(found: Option<&Found>) -> Option<&[u8]> {
    match found {
        Some(Found::User(user)) => Some(user.as_bytes()),
        _ => None,
    }
}

/// Hands the rows over one by one as they arrive.
pub async fn each(
    transaction: &Transaction<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
    mut look: impl FnMut(&Row),
) -> Result<(), Error> {
    let parameters = parameters.iter().map(|parameter| *parameter as &dyn ToSql);
    let mut rows = pin!(transaction.query_raw(statement, parameters).await?);
    while let Some(row) = rows.try_next().await? {
        look(&row);
    }
    Ok(())
}
