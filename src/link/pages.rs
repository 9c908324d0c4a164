//! The backfill: linking the session table itself, page by page.

use std::ops::Range;

use deadpool_postgres::Transaction;
use sha2::{Digest, Sha256};

use super::rows::{MOST_BYTES, each, look, user};
use crate::{
    codec::{Found, Reason},
    connection::Error,
    worker::halving::Halves,
};

/// Sessions of a page of the table whose links do not tell whose they are, and what was found in them.
#[derive(Debug, Default)]
pub struct Unlinked {
    page: i64,
    /// Handles of the sessions.
    digests: Vec<Vec<u8>>,
    /// Digests of their data: a link is taken away only while the session still holds that data.
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
    /// All have been read, or another connection is linking the rest.
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
            "-- link::pages::claim_page
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
    let statement = "-- link::pages::claim_page
        select p.digest, p.data, p.is_refused from session_reaper.page($1, $2) p";
    let mut unlinked = Unlinked {
        page,
        ..Unlinked::default()
    };
    each(transaction, statement, &[&page, &MOST_BYTES], |row| {
        let data = row.get::<_, Option<&[u8]>>(1);
        unlinked.digests.push(row.get(0));
        unlinked
            .seen
            .push(data.map(|data| Sha256::digest(data).to_vec()));
        unlinked.found.push(look(row, 1, 2, &find_user));
    })
    .await?;
    Ok(Claim::Page(unlinked))
}

/// Links the sessions of the page that was claimed in this transaction, so many at once, and unlinks those that have no
/// user. Returns how many sessions the page had, linked or not. A session that cannot be read tells nothing about its
/// link, nor does one that the database refuses to link.
pub async fn link_page(
    transaction: &Transaction<'_>,
    page: &mut Unlinked,
    at_once: usize,
) -> Result<i64, Error> {
    let (mut linked, mut halves) = (0, Halves::of_parts(page.digests.len(), at_once));
    while let Some(part) = halves.next() {
        match try_to_link(transaction, page, part.clone()).await? {
            Some(links) => linked += links,
            None => {
                if let Some(session) = halves.failed(part) {
                    page.found[session] = Some(Found::Unreadable(Reason::NotLinkable));
                }
            }
        }
    }
    let row = transaction
        .query_one(
            "-- link::pages::link_page
            select session_reaper.finish_page($1, $2)",
            &[&page.page, &linked],
        )
        .await?;
    Ok(row.get(0))
}

/// How many were linked; nothing where the database refuses one of these sessions.
async fn try_to_link(
    transaction: &Transaction<'_>,
    page: &Unlinked,
    part: Range<usize>,
) -> Result<Option<i64>, Error> {
    let mut digests = Vec::<&[u8]>::new();
    let mut users = Vec::<Option<&[u8]>>::new();
    let mut seen = Vec::<Option<&[u8]>>::new();
    for session in part {
        let found = page.found[session].as_ref();
        if !matches!(found, Some(Found::Unreadable(_))) {
            digests.push(&page.digests[session]);
            users.push(user(found));
            seen.push(page.seen[session].as_deref());
        }
    }
    let row = transaction
        .query_one(
            "-- link::pages::try_to_link
            select l.linked, l.is_refused from session_reaper.try_link_page($1, $2, $3, $4) l",
            &[&page.page, &digests, &users, &seen],
        )
        .await?;
    Ok((!row.get::<_, bool>(1)).then(|| row.get(0)))
}
