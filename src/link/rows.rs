//! Rows that come with a session's data: handed over one by one as they arrive, and the user that was found in each.

use std::pin::pin;

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt;
use tokio_postgres::{Row, types::ToSql};

use crate::{
    codec::{Found, Reason},
    connection::{Error, prepared},
};

/// The database hands out no more once it has handed out so many bytes, so that a batch of large sessions fills neither
/// its disk nor a statement's time.
pub const MOST_BYTES: i32 = 16 << 20;

/// What a row that was handed out holds: its data, and whether the database refused to hand that out.
pub fn look(
    row: &Row,
    data: usize,
    is_refused: usize,
    find_user: impl Fn(&[u8]) -> Found,
) -> Option<Found> {
    if row.get(is_refused) {
        return Some(Found::Unreadable(Reason::Refused));
    }
    row.get::<_, Option<&[u8]>>(data).map(find_user)
}

pub(super) fn user(found: Option<&Found>) -> Option<&[u8]> {
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
    let statement = prepared::statement(transaction, statement).await?;
    let rows = transaction.query_raw(&statement, parameters).await;
    let mut rows = pin!(prepared::heed(rows)?);
    while let Some(row) = rows.try_next().await? {
        look(&row);
    }
    Ok(())
}
