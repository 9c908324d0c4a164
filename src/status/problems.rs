//! What keeps sessions from ending although everything is in place, each with what to look at.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{Status, workers::FailingWorker};
use crate::{connection::Error, wording::count_of};

/// Failing revocations by SQLSTATE. A conflict with another transaction does not count unless it goes on.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub(super) async fn failing(client: &Client) -> Result<BTreeMap<String, i64>, Error> {
    let rows = client
        .query(
            "-- status::problems::failing
            select r.last_error, count(*)
            from session_reaper.revocation r
            where r.state <> 'settled' and r.last_error is not null
              and (r.last_error not in ('40001', '40P01', '55P03', '57014')
                -- Some ten seconds, as often as these are tried.
                or r.attempts >= case r.state when 'requested' then 4 else 12 end)
            group by r.last_error",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// SQLSTATEs of what could not be noted, by what it was.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub(super) async fn missed(client: &Client) -> Result<BTreeMap<String, String>, Error> {
    let rows = client
        .query(
            "-- status::problems::missed
            select m.what, max(m.sqlstate) from session_reaper.missed m group by m.what",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

impl Status {
    /// Problems of the work. What is not in place is found by [`faults`](crate::schema::faults).
    pub fn problems_of_work(&self) -> Vec<String> {
        let workers = self.failing_workers.iter().map(FailingWorker::describe);
        self.problems_of_revocations()
            .chain(workers)
            .chain(self.cache.problem())
            .collect()
    }

    /// Problems that a revocation has met, or may meet.
    pub fn problems_of_revocations(&self) -> impl Iterator<Item = String> {
        let failing = self.failing_by_sqlstate.iter().map(|(state, of)| {
            format!(
                "sessions of {} cannot be ended ({}): see the daemon's log, and last_error in session_reaper.revocation",
                count_of(*of, "revocation"),
                in_words(state)
            )
        });
        let missed = self.missed.iter().map(|(what, state)| {
            let consequence = match what.as_str() {
                "change" => return format!("a change that should have ended sessions has ended none ({}): run `session-reaper revoke --all`", in_words(state)),
                "write" => "no revocation settles before a daemon has read every session again",
                _ => "the cache may still answer for sessions that the app has deleted, until they expire there",
            };
            format!("a {what} of a session could not be noted (SQLSTATE {state}): {consequence}; `session-reaper doctor` looks for the cause")
        });
        failing.chain(missed)
    }
}

/// For codes that tell what to look for.
fn in_words(sqlstate: &str) -> String {
    let cause = match sqlstate {
        "55P03" => ", another transaction keeps one locked: look for it in pg_stat_activity",
        "42501" => ", a right is missing",
        "42P01" | "42703" => ", a table or a column has another name, or is gone",
        _ => "",
    };
    format!("SQLSTATE {sqlstate}{cause}")
}
