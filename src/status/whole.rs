//! The status, with what is not in place: for the callers that show it.

use tokio_postgres::Client;

use super::Status;
use crate::{purge::schedule::next_tick, schema, settings::Settings};

/// Reads the status, and what is not as it should be.
///
/// # Errors
/// When nothing is installed, or the database cannot be reached or refuses a statement.
pub async fn read_whole(client: &Client, settings: &Settings) -> Result<Status, schema::Error> {
    let Some(version) = schema::installed_version(client).await? else {
        return Err(schema::Error::NotInstalled);
    };
    let mut status = super::read(client, Some(version)).await?;
    status.next_purge_at_s = next_tick(&settings.purge.schedule);
    if status.paused.is_none() {
        look_for_problems(client, settings, &mut status).await?;
        status.problems.extend(status.problems_of_work());
    }
    Ok(status)
}

/// The site's migration may hold a lock on the tables that are looked at here. That hides nothing else.
async fn look_for_problems(
    client: &Client,
    settings: &Settings,
    status: &mut Status,
) -> Result<(), schema::Error> {
    match schema::faults(client, &settings.site).await {
        Ok(faults) => status
            .problems
            .extend(faults.iter().map(ToString::to_string)),
        Err(error) if error.is_blocked() => status.unknown.push(format!(
            "whether triggers, foreign keys and keys are in place: {error}"
        )),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
