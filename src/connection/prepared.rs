//! Statements that are sent again and again: the server reads each once a connection, and not for every call.
//!
//! It still plans them for each call, as the session sets it (`plan_cache_mode`): a plan from when a table was empty
//! would be kept for too long. What needs one plan is a function, which sets that itself.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::GenericClient;
use tokio_postgres::{Row, Statement, error::SqlState, types::ToSql};

use super::Error;

/// Unless the connections are known to be the server's own, every statement is read for each call. Polling has to work
/// behind a pooler in transaction mode, too. On the next connection there, a statement's name may belong to another
/// process's statement, and the server would run that one.
static ARE_OUR_OWN: AtomicBool = AtomicBool::new(false);

/// Sets whether the connections are the server's own: a notification that comes back proves it, since a pooler in
/// transaction mode passes none on.
pub fn are_our_own(proven: bool) {
    ARE_OUR_OWN.store(proven, Ordering::Relaxed);
}

/// A statement, read by the server unless it was before.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn statement(client: &impl GenericClient, text: &str) -> Result<Statement, Error> {
    heed(if ARE_OUR_OWN.load(Ordering::Relaxed) {
        client.prepare_cached(text).await
    } else {
        client.prepare(text).await
    })
}

/// The rows of a prepared statement.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn query(
    client: &impl GenericClient,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Error> {
    let statement = statement(client, text).await?;
    heed(client.query(&statement, parameters).await)
}

/// Its only row.
///
/// # Errors
/// The same, and that it gives another number of rows.
pub async fn query_one(
    client: &impl GenericClient,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Row, Error> {
    let statement = statement(client, text).await?;
    heed(client.query_one(&statement, parameters).await)
}

/// Without its rows.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn execute(
    client: &impl GenericClient,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), Error> {
    let statement = statement(client, text).await?;
    heed(client.execute(&statement, parameters).await).map(|_| ())
}

/// Takes note of a connection that has forgotten a statement, or knows another one by its name.
pub fn heed<T>(result: Result<T, tokio_postgres::Error>) -> Result<T, Error> {
    result.map_err(|error| {
        let gone = [
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
        ];
        if error.code().is_some_and(|code| gone.contains(code)) {
            are_our_own(false);
        }
        error.into()
    })
}
