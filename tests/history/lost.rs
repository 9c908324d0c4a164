//! Changes that were committed and are not honoured, whatever died in between.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use tokio_postgres::Client;

use crate::{
    ledger::{Books, Cause},
    world::World,
};

/// How long the daemons may go without settling anything once the clients have left: nothing settles while the table is
/// being read, and what has piled up meanwhile takes its time.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same where something was broken on purpose.
const IMPATIENCE: Duration = Duration::from_secs(3);

/// Revocations that never settle.
pub async fn unsettled(world: &World, client: &Client) -> Vec<String> {
    let patience = if world.options.sabotage.is_empty() {
        PATIENCE
    } else {
        IMPATIENCE
    };
    let statement = "select count(*) from session_reaper.revocation r where r.state <> 'settled'";
    let (mut fewest, mut deadline) = (i64::MAX, Instant::now());
    loop {
        let open: i64 = client.query_one(statement, &[]).await.unwrap().get(0);
        if open < fewest {
            (fewest, deadline) = (open, Instant::now() + patience);
        }
        if open == 0 || Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rows = client
        .query(
            "select r.id, r.user_id, r.state, r.scope, r.attempts, r.last_error, r.horizon_id
             from session_reaper.revocation r where r.state <> 'settled' order by r.id",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| format!("not settled: {row:?} {:?}", row.get::<_, String>(2)))
        .collect()
}

/// Numbers of transactions that found no daemon.
pub async fn unserved(client: &Client) -> HashSet<String> {
    let statement = "select c.xid::text from session_reaper.change c where c.served is not true";
    let rows = client.query(statement, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// How many revocations there are, by user, transaction and reason.
pub type Found = HashMap<(Option<i32>, String, String), i64>;

/// Those that there are.
pub async fn revocations(client: &Client) -> Found {
    let rows = client
        .query(
            "select r.user_id, c.xid::text, r.reason, count(*)
             from session_reaper.revocation r
             join session_reaper.change c on c.id = r.change_id
             where r.scope in ('user', 'all')
             group by 1, 2, 3",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| ((row.get(0), row.get(1), row.get(2)), row.get(3)))
        .collect()
}

/// Committed changes without a revocation, and revocations of changes that did not commit or that end nothing.
pub fn not_asked_for(books: &Books, found: &Found) -> Vec<String> {
    let mut expected: Found = HashMap::new();
    for change in books.changes.values().flatten() {
        // Whether this one leaves a trace depends on whether the user had sessions.
        if change.cause == Cause::Deleted {
            continue;
        }
        let reason = change.cause.reason().to_owned();
        *expected
            .entry((change.user, change.xid.clone(), reason))
            .or_default() += 1;
    }
    let missing = expected
        .iter()
        .filter(|(what, count)| found.get(*what) != Some(count));
    let unasked = found
        .iter()
        .filter(|(what, _)| !expected.contains_key(*what));
    missing
        .map(|(what, count)| format!("{count} expected: {what:?}, found {:?}", found.get(what)))
        .chain(
            unasked.map(|(what, count)| {
                format!("{count} that no committed change asked for: {what:?}")
            }),
        )
        .collect()
}
