//! Who serves the database.

use serde::Serialize;
use tokio_postgres::Client;

use crate::{connection::Error, wording};

/// A daemon that serves, as it reports itself.
#[derive(Debug, Serialize)]
pub struct Daemon {
    /// The machine that it runs on.
    pub host: String,
    /// Its release.
    pub version: String,
    /// Since when it serves, in UTC, in the form of ISO 8601.
    pub since: String,
    /// For how long, in seconds.
    pub served_s: f64,
}

/// All of them. A daemon of an earlier release does not report who it is, and serves all the same.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub(super) async fn read(client: &Client) -> Result<Vec<Daemon>, Error> {
    let rows = client
        .query(
            "-- status::serving::read
            select d.host, d.version, to_char(d.since at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
                extract(epoch from clock_timestamp() - d.since)::double precision
            from session_reaper.serving_daemons() d",
            &[],
        )
        .await?;
    let daemon = |row: &tokio_postgres::Row| Daemon {
        host: row.get(0),
        version: row.get(1),
        since: row.get(2),
        served_s: row.get(3),
    };
    Ok(rows.iter().map(daemon).collect())
}

impl Daemon {
    /// In words.
    pub fn describe(&self) -> String {
        format!(
            "session-reaper {} on {} for {} (since {})",
            self.version,
            self.host,
            wording::lasting(self.served_s),
            self.since
        )
    }
}
