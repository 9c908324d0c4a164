//! What somebody may cause who can do nothing but connect: neither the daemon's log, nor its memory, nor the audit trail
//! grows at a rate that a stranger sets (P8).

use tokio_postgres::Client;

use crate::stage::{Database, connect, program::Daemon, wait_until};

/// A role that may connect.
async fn stranger(database: &Database) -> Client {
    let role = format!("stranger_{:08x}", fastrand::u32(..));
    database
        .batch_execute(&format!("create role {role} login"))
        .await
        .unwrap();
    let url = database.url();
    connect(&url.replace("user=postgres", &format!("user={role}"))).await
}

async fn notify(stranger: &Client, payload: &str, times: u32) {
    let flood = format!(
        "select count(pg_notify('session_reaper', {payload})) from generate_series(1, {times}) n"
    );
    stranger.execute(&flood, &[]).await.unwrap();
}

/// How many requests the lines about them speak of, and how many lines these are.
fn told(daemon: &Daemon, part: &str) -> (u64, usize) {
    let lines = daemon.lines().into_iter();
    let counts: Vec<u64> = lines
        .filter(|line| line["message"].as_str().unwrap().contains(part))
        .map(|line| line["requests"].as_u64().unwrap())
        .collect();
    (counts.iter().sum(), counts.len())
}

#[tokio::test]
async fn a_flood_of_requests_by_hand_is_counted_and_said_once_in_a_while() {
    const FLOODS: u32 = 20;
    const EACH: u32 = 500;
    for (hand_requests, says) in [("true", "name no user"), ("false", "hand_requests is off")] {
        let database = Database::create().await;
        let stranger = stranger(&database).await;
        let variables = [
            ("SESSION_REAPER_LISTEN_HAND_REQUESTS", hand_requests),
            ("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1"),
        ];
        let daemon = Daemon::start_with(database.url(), &[], &variables);
        daemon.serves().await;
        for _ in 0..FLOODS {
            notify(&stranger, "repeat(random()::text, 60)", EACH).await;
        }
        // The rest is said with a heartbeat.
        wait_until("each is counted", || async {
            told(&daemon, says).0 == u64::from(FLOODS * EACH)
        })
        .await;
        let (_, lines) = told(&daemon, says);
        assert!(lines <= 8, "{lines} lines: {}", daemon.log());
        assert!(
            daemon.log().lines().all(|line| line.len() < 1000),
            "a payload is in the log"
        );

        let user = database.users(1).await[0];
        let sessions = database.log_in(user, 1).await;
        database.change_password(user).await;
        wait_until("a change is still heard", || async {
            database.count(&sessions).await == 0
        })
        .await;
    }
}

/// Each request that is honoured is a row for months.
#[tokio::test]
async fn a_flood_of_requests_that_name_a_user_is_honoured_a_hundred_times() {
    let database = Database::create().await;
    let stranger = stranger(&database).await;
    let user = database.users(1).await[0];
    let daemon = Daemon::start_with(
        database.url(),
        &[],
        &[("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1")],
    );
    daemon.serves().await;
    for _ in 0..4 {
        notify(&stranger, &format!("repeat(' ', n) || '{user}'"), 200).await;
    }
    wait_until("the others are dropped", || async {
        told(&daemon, "were dropped, because too many have come").0 >= 600
    })
    .await;
    let rows = "select count(*) from session_reaper.revocation";
    // A further one for each ten seconds that the test may have taken.
    let rows = database.number(rows).await;
    assert!((100..=110).contains(&rows), "{rows}");
    database.settled().await;
}

/// Payloads of 8,000 bytes may wait for a daemon that is busy.
#[tokio::test]
async fn heartbeats_come_back_through_a_flood_of_large_payloads() {
    let database = Database::create().await;
    let stranger = stranger(&database).await;
    let _daemon = database.daemon().await;
    for _ in 0..10 {
        notify(&stranger, "n || repeat('x', 7000)", 1000).await;
        assert_eq!(database.daemons().await, 1);
    }
    database.served_by(1).await;
}
