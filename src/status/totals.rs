//! What all revocations came to, pruned ones included: totals that only grow.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Client;

use super::spread::Spread;
use crate::connection::Error;

/// The bounds of the histograms, in seconds: those of session_reaper.at_most (sql/tally.sql).
const BOUNDS_S: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
    7200.0, 86_400.0,
];

/// The reasons that are told apart: those of session_reaper.reason_of_ours.
const REASONS: [&str; 10] = [
    "password",
    "deactivated",
    "deleted",
    "requested",
    "stale_hash",
    "sessions_max",
    "lifetime",
    "idle",
    "canary",
    "other",
];

/// The canary's revocations are no user's. The canary itself reports how fast they are, and on a quiet site they would
/// hide everything else.
const CANARY: &str = "canary";

/// All that has been, pruned revocations included.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    /// Sessions that ended, by reason.
    pub sessions_ended: BTreeMap<String, i64>,
    /// Revocations, by reason.
    pub revocations: BTreeMap<String, i64>,
    /// Expired sessions that purges have deleted.
    pub sessions_purged: i64,
    #[serde(skip)]
    pub(super) gone: Spread,
    #[serde(skip)]
    pub(super) settled: Spread,
}

/// Reads what all revocations came to.
///
/// # Errors
/// When the database cannot be reached or refuses a statement.
pub(super) async fn read(client: &Client) -> Result<Totals, Error> {
    let rows = client
        .query(
            "-- status::totals::read
            select t.reason, t.gone_le, t.settled_le, sum(t.revocations)::bigint, sum(t.gone_s), sum(t.settled_s),
                sum(t.sessions_ended)::bigint
            from session_reaper.totals() t
            group by t.reason, t.gone_le, t.settled_le",
            &[],
        )
        .await?;
    let purged = client
        .query_one(
            "-- status::totals::read
            select coalesce(max(p.sessions_in_all), 0) from session_reaper.purge p",
            &[],
        )
        .await?;
    // A reason that has not come up yet is listed with 0; otherwise its first revocation would be no increase.
    let none: BTreeMap<String, i64> = REASONS.map(|reason| (reason.to_owned(), 0)).into();
    let mut totals = Totals {
        sessions_ended: none.clone(),
        revocations: none,
        sessions_purged: purged.get(0),
        gone: Spread::over(&BOUNDS_S),
        settled: Spread::over(&BOUNDS_S),
    };
    for row in &rows {
        let (reason, count): (String, i64) = (row.get(0), row.get(3));
        *totals.revocations.entry(reason.clone()).or_default() += count;
        *totals.sessions_ended.entry(reason.clone()).or_default() += row.get::<_, i64>(6);
        if reason == CANARY {
            continue;
        }
        totals.gone.add(row.get(1), count, row.get(4));
        totals.settled.add(row.get(2), count, row.get(5));
    }
    Ok(totals)
}
