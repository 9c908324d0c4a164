//! The reading of the session table itself, page by page.

use deadpool_postgres::Transaction;
use sha2::{Digest, Sha256};

use super::{each, user};
use crate::{codec::Found, connection::Error};

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
            "-- page::claim_page
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
    let statement = "-- page::read
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
            "-- page::link_page
            select session_reaper.link_page($1, $2, $3, $4)",
            &[&page.page, &digests, &users, &seen],
        )
        .await?;
    Ok(row.get(0))
}
