//! Workers of daemons that keep failing.

use serde::Serialize;
use tokio_postgres::Client;

use crate::{connection::Error, wording::count_of, worker::trouble::SETTINGS};

/// A worker tries again at least twice a minute. A failure that it has not reported again for longer is that of a
/// daemon that died.
const SILENCE_S: f64 = 300.0;

/// A worker that keeps failing.
#[derive(Debug, Serialize)]
pub struct FailingWorker {
    /// Which: `linker`, `revoker`, `settler`, `evictor`, `purger`, `verifier`, `inspector`, `clock`,
    /// `enforcer` or `canary`; `settings` where a reload has left the old ones in force.
    pub worker: String,
    /// For how long, in seconds.
    pub failing_s: f64,
    /// How often in a row.
    pub attempts: i64,
    /// What the server answered; none if it did not.
    pub sqlstate: Option<String>,
}

/// Reads which workers keep failing, of all daemons.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn read(client: &Client) -> Result<Vec<FailingWorker>, Error> {
    let rows = client
        .query(
            "-- status::workers::read
            select t.worker, extract(epoch from clock_timestamp() - t.since)::double precision, t.attempts, t.sqlstate
            from session_reaper.trouble t
            where t.last_at > clock_timestamp() - $1::double precision * interval '1 second'
            order by t.since",
            &[&SILENCE_S],
        )
        .await?;
    let failing = |row: &tokio_postgres::Row| FailingWorker {
        worker: row.get(0),
        failing_s: row.get(1),
        attempts: row.get(2),
        sqlstate: row.get(3),
    };
    Ok(rows.iter().map(failing).collect())
}

impl FailingWorker {
    /// As a problem.
    pub fn describe(&self) -> String {
        if self.worker == SETTINGS {
            return format!(
                "a daemon could not reload its settings {:.0} s ago and goes on with the old ones: see its log, mend the file and reload",
                self.failing_s
            );
        }
        let answer = self.sqlstate.as_ref().map_or_else(
            || "the server did not answer".to_owned(),
            |state| format!("SQLSTATE {state}"),
        );
        format!(
            "the {} of a daemon has failed for {:.0} s ({}, {answer}): see that daemon's log",
            self.worker,
            self.failing_s,
            count_of(self.attempts, "attempt")
        )
    }
}
