//! In which state an installation is: its version, its pause, and the server that it is on.

use tokio_postgres::{Client, GenericClient};

use super::{Error, shape::newest_version};
use crate::connection;

/// PostgreSQL 14 brought `create or replace trigger` and `idle_session_timeout`.
const OLDEST_SERVER: i32 = 140_000;

pub(super) async fn server(client: &Client) -> Result<(), Error> {
    let row = client
        .query_one(
            "-- schema::state::server
            select pg_catalog.current_setting('server_version_num')::integer,
                   pg_catalog.current_setting('server_version'),
                   pg_catalog.current_setting('transaction_read_only')::boolean",
            &[],
        )
        .await?;
    if row.get::<_, i32>(0) < OLDEST_SERVER {
        return Err(Error::OldServer { found: row.get(1) });
    }
    if row.get(2) {
        return Err(Error::ReadOnly);
    }
    Ok(())
}

/// Refuses a schema that is missing, or of another release.
///
/// # Errors
/// A sentence that names the command that mends it.
pub async fn installed(client: &Client) -> Result<(), Error> {
    match installed_version(client).await? {
        None => Err(Error::NotInstalled),
        Some(found) if found < newest_version() => Err(Error::TooOld {
            found,
            needed: newest_version(),
        }),
        Some(_) => not_newer(client).await,
    }
}

pub(super) async fn not_newer(client: &Client) -> Result<(), Error> {
    let known = newest_version();
    match installed_version(client).await? {
        Some(found) if found > known => Err(Error::TooNew { found, known }),
        _ => Ok(()),
    }
}

pub(super) async fn has_table(
    client: &impl GenericClient,
    name: &str,
) -> Result<bool, connection::Error> {
    let row = client
        .query_one(
            "-- schema::state::has_table
            select pg_catalog.to_regclass($1) is not null",
            &[&name],
        )
        .await?;
    Ok(row.get(0))
}

pub(super) async fn has_schema(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::state::has_schema
            select pg_catalog.to_regnamespace('session_reaper') is not null",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// The newest migration that was applied here; none if nothing was.
pub async fn installed_version(client: &Client) -> Result<Option<i32>, Error> {
    if !has_table(client, "session_reaper.schema_history").await? {
        return Ok(None);
    }
    let row = client
        .query_one(
            "-- schema::state::installed_version
            select pg_catalog.max(version) from session_reaper.schema_history",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Since when the site migrates, and which role said so.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// Time in UTC, as ISO 8601 has it.
    pub since: String,
    /// The role.
    pub by: String,
    /// False while it is still being begun.
    #[serde(skip)]
    pub(super) complete: bool,
}

impl Pause {
    pub(super) fn refuse(self) -> Error {
        let Self { since, by, .. } = self;
        Error::Paused { since, by }
    }
}

/// The pause that is on, if one is.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn current_pause(
    client: &impl GenericClient,
) -> Result<Option<Pause>, connection::Error> {
    if !has_table(client, "session_reaper.pause").await? {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "-- schema::state::current_pause
            select to_char(p.since at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), p.paused_by::text, p.complete
            from session_reaper.pause p",
            &[],
        )
        .await?;
    Ok(row.map(|row| Pause {
        since: row.get(0),
        by: row.get(1),
        complete: row.get(2),
    }))
}
