//! The role that the daemon connects as: it may log in and nothing else, until `migrate` gives it what it needs.

use tokio_postgres::{Client, error::SqlState};

use super::{
    Error, act,
    site::template::{quote_identifier, quote_literal},
};
use crate::connection::{self, Target};

/// Creates the role unless it exists; returns whether it had to.
///
/// # Errors
/// That this role has no right to create roles, with what a role that has it needs to run.
pub async fn create_role(target: &Target, role: &str, pool_size: usize) -> Result<bool, Error> {
    act::on(target, async |client| {
        create_on(client, role, pool_size).await
    })
    .await
}

async fn create_on(client: &Client, role: &str, pool_size: usize) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::new_role::create_on
            select exists (select from pg_catalog.pg_roles r where r.rolname = $1::text), current_user::text,
                pg_catalog.current_database()::text",
            &[&role],
        )
        .await?;
    if row.get(0) {
        return Ok(false);
    }
    let statement = statement(role, row.get(2), pool_size);
    match client.batch_execute(&statement).await {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Err(Error::MayNotCreateRole {
                role: row.get(1),
                statement,
            })
        }
        Err(error) => Err(connection::Error::from(error).into()),
    }
}

/// One message, so that all of it happens or nothing. Two daemons and some commands by hand fit into the limit. The
/// daemon's connections have their own time-outs; these are for any other client that logs in as this role and leaves.
fn statement(role: &str, database: &str, pool_size: usize) -> String {
    let (name, limit) = (quote_identifier(role), 2 * (pool_size + 1) + 10);
    let comment = quote_literal(&format!("The session-reaper of {database}"));
    format!(
        "create role {name} login noinherit connection limit {limit}; \
         alter role {name} set statement_timeout = '10min'; \
         alter role {name} set idle_in_transaction_session_timeout = '1min'; \
         alter role {name} set lock_timeout = '1min'; \
         comment on role {name} is {comment}"
    )
}
