//! The only room that knows the tables of what is still to be read: which sessions have been written, and how far the
//! session table itself has been read.
//!
//! Keys never leave the database: data comes with a handle, and what was found in it goes back with that (P7). Data is
//! read as it arrives, so that a batch of large sessions takes no more memory than one of them.

use std::{collections::BTreeMap, pin::pin};

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
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

/// Sessions of a page of the table whose links do not say whose they are, and what was found in them.
#[derive(Debug, Default)]
pub struct Unlinked {
    page: i64,
    /// Handles of the sessions.
    digests: Vec<Vec<u8>>,
    /// Digests of their data: a link is taken away only while that is what stands there.
    seen: Vec<Option<Vec<u8>>>,
    /// What was found in each; nothing where a column is null.
    pub found: Vec<Option<Found>>,
}

/// Whether there is a page to read.
#[derive(Debug)]
pub enum Claim {
    /// This one, of which the rest has to be read in the same transaction.
    Page(Unlinked),
    /// The last one has been read, as was found out just now.
    Completed,
    /// All have been read, or somebody else has the rest in hand.
    Nothing,
}

/// Claims and reads the next page of the table, of `most` sessions if others did not cut it.
pub async fn claim_page(
    transaction: &Transaction<'_>,
    most: u32,
    find_user: impl Fn(&[u8]) -> Found,
) -> Result<Claim, Error> {
    let claimed = transaction
        .query_one(
            "-- reading::claim_page
            select c.id, c.completed from session_reaper.claim_page($1) c",
            &[&i32::try_from(most).unwrap_or(i32::MAX)],
        )
        .await?;
    let Some(page) = claimed.get::<_, Option<i64>>(0) else {
        return Ok(match claimed.get(1) {
            true => Claim::Completed,
            false => Claim::Nothing,
        });
    };
    let statement = "-- reading::page
        select p.digest, p.data from session_reaper.page($1) p";
    let mut unlinked = Unlinked {
        page,
        ..Unlinked::default()
    };
    each(transaction, statement, &[&page], |row| {
        let data = row.get::<_, Option<&[u8]>>(1);
        unlinked.digests.push(row.get(0));
        unlinked
            .seen
            .push(data.map(|data| Sha256::digest(data).to_vec()));
        unlinked.found.push(data.map(&find_user));
    })
    .await?;
    Ok(Claim::Page(unlinked))
}

/// Links the sessions of the page that was claimed in this transaction, and unlinks those that are nobody's; returns how
/// many it had, linked or not. What cannot be read says nothing of its link.
pub async fn link_page(transaction: &Transaction<'_>, page: &Unlinked) -> Result<i64, Error> {
    let mut digests = Vec::<&[u8]>::new();
    let mut users = Vec::<Option<&[u8]>>::new();
    let mut seen = Vec::<Option<&[u8]>>::new();
    for ((digest, data), found) in page.digests.iter().zip(&page.seen).zip(&page.found) {
        if matches!(found, Some(Found::Unreadable(_))) {
            continue;
        }
        digests.push(digest);
        users.push(user(found.as_ref()));
        seen.push(data.as_deref());
    }
    let row = transaction
        .query_one(
            "-- reading::link_page
            select session_reaper.link_page($1, $2, $3, $4)",
            &[&page.page, &digests, &users, &seen],
        )
        .await?;
    Ok(row.get(0))
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
