//! What revocations came to, by reason, and how long they took. Those of policies, of stale hashes and of the canary are
//! counted where those are tested.

use crate::stage::{
    Database,
    figures::{Move, Said::Exactly, assert_moved, metrics},
    program::run,
};

const CAME_TO: [Move; 10] = [
    (
        "revocations_total{reason=password}",
        Exactly(0.0),
        Exactly(1.0),
    ),
    (
        "ended_sessions_total{reason=password}",
        Exactly(0.0),
        Exactly(2.0),
    ),
    (
        "revocations_total{reason=requested}",
        Exactly(0.0),
        Exactly(1.0),
    ),
    (
        "ended_sessions_total{reason=requested}",
        Exactly(0.0),
        Exactly(2.0),
    ),
    (
        "revocations_total{reason=other}",
        Exactly(0.0),
        Exactly(1.0),
    ),
    (
        "ended_sessions_total{reason=other}",
        Exactly(0.0),
        Exactly(2.0),
    ),
    (
        "revocations_total{reason=deactivated}",
        Exactly(0.0),
        Exactly(1.0),
    ),
    (
        "ended_sessions_total{reason=deactivated}",
        Exactly(0.0),
        Exactly(2.0),
    ),
    (
        "revocations_total{reason=deleted}",
        Exactly(0.0),
        Exactly(1.0),
    ),
    (
        "ended_sessions_total{reason=deleted}",
        Exactly(0.0),
        Exactly(2.0),
    ),
];

/// Of five that were gone after three seconds and had settled after forty.
const TOOK: [Move; 7] = [
    ("gone_seconds_count", Exactly(0.0), Exactly(5.0)),
    ("gone_seconds_sum", Exactly(0.0), Exactly(15.0)),
    ("gone_seconds_bucket{le=5}", Exactly(0.0), Exactly(5.0)),
    ("gone_seconds_bucket{le=+Inf}", Exactly(0.0), Exactly(5.0)),
    ("settled_seconds_count", Exactly(0.0), Exactly(5.0)),
    ("settled_seconds_sum", Exactly(0.0), Exactly(200.0)),
    ("settled_seconds_bucket{le=60}", Exactly(0.0), Exactly(5.0)),
];

/// A user's sessions each.
const CAUSES: [&str; 5] = [
    "update auth_user set password = 'new' where id = $1",
    "select session_reaper.revoke_user($1, 'requested')",
    "select session_reaper.revoke_user($1, 'a laptop was stolen')",
    "update auth_user set is_active = false where id = $1",
    "delete from auth_user where id = $1",
];

#[tokio::test]
async fn what_was_asked_for_and_ended_is_counted_by_reason_and_by_how_long_it_took() {
    let database = Database::create().await;
    let before = metrics(&database).await;
    let users = database.users(CAUSES.len()).await;
    for user in &users {
        database.log_in(*user, 2).await;
    }
    let daemon = database.daemon().await;
    for (user, cause) in users.iter().zip(CAUSES) {
        database.execute(cause, &[user]).await.unwrap();
    }
    database.settled().await;
    daemon.stop().await;
    let took = "update session_reaper.revocation
        set changed_at = revoked_at - interval '3 seconds', settled_at = revoked_at + interval '37 seconds'";
    database.batch_execute(took).await.unwrap();
    let after = metrics(&database).await;
    assert_moved(&before, &after, &CAME_TO);
    assert_moved(&before, &after, &TOOK);
    for faster in [
        "gone_seconds_bucket{le=\"2.5\"}",
        "settled_seconds_bucket{le=\"30\"}",
    ] {
        assert_eq!(after[&format!("session_reaper_{faster}")], 0.0);
    }
    // What a caller gives is kept for good by whoever monitors.
    assert!(!after.keys().any(|name| name.contains("laptop")));
    let status = run(database.url(), &["status"]).await.stdout;
    assert!(
        status.contains("gone       last hour, 5 revocations: half within 3."),
        "{status}"
    );
}

/// A bound belongs to what took exactly that long, as Prometheus has it.
#[tokio::test]
async fn a_bound_belongs_to_what_is_below_it() {
    let database = Database::create().await;
    for (seconds, at_most) in [
        ("0", "0.005"),
        ("0.005", "0.005"),
        ("0.005001", "0.01"),
        ("1", "1"),
        ("1.000001", "2.5"),
        ("86400", "86400"),
        ("86400.1", "Infinity"),
    ] {
        let statement = format!("select session_reaper.at_most({seconds})::text");
        let row = database.query_one(&statement, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), at_most, "{seconds}");
    }
}
