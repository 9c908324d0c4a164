//! Revocations that are not settled, and what they wait for.

use session_reaper::settings::Settings;

use crate::stage::{
    Database,
    figures::{
        Said::{Exactly, Nothing},
        assert_moved, metrics,
    },
    wait_until,
};

/// Waits until so many are known to wait for what was running.
pub async fn wait_for_horizons(database: &Database, count: i64) {
    let waiting = "select count(*) from session_reaper.revocation r join session_reaper.horizon h on h.id = r.horizon_id
        where r.state = 'revoked' and h.passed_at is null";
    wait_until("they wait for what was running", || async {
        database.number(waiting).await == count
    })
    .await;
}

/// Nobody serves, so that it stays as it is.
#[tokio::test]
async fn revocations_that_nobody_has_looked_at_are_told_with_the_age_of_the_oldest() {
    let database = Database::create().await;
    let before = metrics(&database).await;
    for user in database.users(2).await {
        database.change_password(user).await;
    }
    let old =
        "update session_reaper.change set begun_at = begun_at - interval '1 hour' where id = 1";
    database.batch_execute(old).await.unwrap();
    let asked_at = "select extract(epoch from begun_at)::double precision from session_reaper.change where id = 1";
    let asked_at = database.query_one(asked_at, &[]).await.unwrap().get(0);
    let asked = metrics(&database).await;
    assert_moved(
        &before,
        &asked,
        &[
            (
                "open_revocations{state=requested}",
                Exactly(0.0),
                Exactly(2.0),
            ),
            (
                "oldest_open_revocation_timestamp_seconds",
                Nothing,
                Exactly(asked_at),
            ),
        ],
    );
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_moved(
        &asked,
        &metrics(&database).await,
        &[
            (
                "open_revocations{state=requested}",
                Exactly(2.0),
                Exactly(0.0),
            ),
            (
                "oldest_open_revocation_timestamp_seconds",
                Exactly(asked_at),
                Nothing,
            ),
        ],
    );
}

#[tokio::test]
async fn a_transaction_that_is_waited_for_is_told_until_it_has_been_for_too_long() {
    let database = Database::create().await;
    let before = metrics(&database).await;
    let mut report = database.connect().await;
    let running = report.transaction().await.unwrap();
    running.batch_execute("select 1").await.unwrap();
    for user in database.users(2).await {
        database.change_password(user).await;
    }
    let daemon = database.daemon().await;
    wait_for_horizons(&database, 2).await;
    daemon.stop().await;
    let long =
        "update session_reaper.horizon set captured_at = captured_at - interval '10 minutes'";
    database.batch_execute(long).await.unwrap();
    let waiting = metrics(&database).await;
    assert_moved(
        &before,
        &waiting,
        &[
            (
                "open_revocations{state=revoked}",
                Exactly(0.0),
                Exactly(2.0),
            ),
            (
                "blocking_transactions{kind=open}",
                Exactly(0.0),
                Exactly(1.0),
            ),
        ],
    );

    let mut settings = Settings::default();
    settings.revoke.settle_cap_s = 1;
    let daemon = database.daemon_with(settings).await;
    database.settled().await;
    daemon.stop().await;
    assert_moved(
        &waiting,
        &metrics(&database).await,
        &[
            ("waited_out_revocations", Exactly(0.0), Exactly(2.0)),
            (
                "open_revocations{state=revoked}",
                Exactly(2.0),
                Exactly(0.0),
            ),
            (
                "blocking_transactions{kind=open}",
                Exactly(1.0),
                Exactly(0.0),
            ),
        ],
    );
}
