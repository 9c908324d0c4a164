//! The shape of our data: the files of `migrations/`, applied by refinery.

use tokio_postgres::Client;

use super::{
    Error, Site,
    lock::{LOCK_TRIES, retry_or_fail, wait_for_turn},
    site::template::quote_literal,
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

const HISTORY: &str = "session_reaper.schema_history";

/// Where all our objects are.
pub(super) const CREATE_SCHEMA: &str = "create schema if not exists session_reaper;
comment on schema session_reaper is 'Ends sessions when passwords change. Installed by session-reaper.'";

/// The migrations that lead on from a version, with their text.
pub(super) fn pending(version: Option<i32>) -> Vec<(String, String)> {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .filter(|migration| version.is_none_or(|version| migration.version() > version))
        .map(|migration| {
            let text = migration.sql().unwrap_or_default();
            (migration.to_string(), text.to_owned())
        })
        .collect()
}

/// The version that this release's migrations lead to.
pub fn newest_version() -> i32 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| migration.version())
        .max()
        .unwrap_or_default()
}

/// Brings the tables to this version; returns the migrations that were applied, as `V1__name`.
pub(super) async fn apply(
    client: &mut Client,
    site: &Site,
    version: i32,
) -> Result<Vec<String>, Error> {
    client.batch_execute(CREATE_SCHEMA).await?;
    for (name, value) in site.migration_settings() {
        let set = format!(
            "select pg_catalog.set_config({}, {}, false)",
            quote_literal(name),
            quote_literal(&value)
        );
        client.batch_execute(&set).await?;
    }
    let mut applied = Vec::new();
    let tables = [site.sessions.oid, site.users.oid];
    for attempt in 0..LOCK_TRIES {
        wait_for_turn(client, &tables, attempt).await?;
        let mut runner =
            embedded::migrations::runner().set_target(refinery::Target::Version(version));
        runner.set_migration_table_name(HISTORY);
        match runner.run_async(client).await {
            Ok(report) => {
                applied.extend(report.applied_migrations().iter().map(ToString::to_string));
                return Ok(applied);
            }
            Err(error) => {
                let so_far = error.report().map(refinery::Report::applied_migrations);
                applied.extend(so_far.into_iter().flatten().map(ToString::to_string));
                retry_or_fail(error)?;
            }
        }
    }
    Err(Error::Busy {
        what: format!("{} and {}", site.sessions, site.users),
    })
}
