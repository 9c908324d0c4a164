//! How far a revocation is, and how that is shown.

use std::time::Duration;

use crate::{
    command::arguments::Revoke,
    connection::{self, Database},
    wording::count_of,
};

/// How far a revocation is.
pub(super) struct Progress {
    pub(super) swept: bool,
    pub(super) settled: bool,
    pub(super) sessions: i64,
    pub(super) served: bool,
}

pub(super) async fn look(
    database: &Database,
    revocation: i64,
) -> Result<Progress, connection::Error> {
    let row = database
        .query_one(
            "-- command::revoke::progress::look
            select r.state = 'settled', r.sessions_ended, session_reaper.is_served(), r.state <> 'requested'
            from session_reaper.revocation r
            where r.id = $1",
            &[&revocation],
        )
        .await?;
    Ok(Progress {
        settled: row.get(0),
        sessions: row.get(1),
        served: row.get(2),
        swept: row.get(3),
    })
}

pub(super) fn print(arguments: &Revoke, revocation: i64, progress: &Progress, took: Duration) {
    let Progress {
        settled,
        sessions,
        served,
        ..
    } = progress;
    if arguments.json {
        let report = serde_json::json!({
            "revocation": revocation,
            "sessions": sessions,
            "settled": settled,
            "served": served,
            "duration_s": took.as_secs_f64(),
        });
        println!("{report}");
        return;
    }
    println!(
        "revocation {revocation}: {} ended in {:.0} ms",
        count_of(*sessions, "session"),
        took.as_secs_f64() * 1000.0
    );
    if !settled {
        let who = if *served {
            "the daemon goes on"
        } else {
            "start the daemon, or repeat this when they have ended"
        };
        println!(
            "not settled: transactions that were open at the time still are, or the cache has not confirmed (see `session-reaper status`); {who}"
        );
    }
}
