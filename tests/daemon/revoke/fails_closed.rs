//! While no daemon serves, the changing transaction ends the sessions itself (P4).

use session_reaper::demo::site;
use tokio_postgres::IsolationLevel;

use crate::stage::{Database, connect, wait_until};

#[tokio::test]
async fn without_a_daemon_the_sessions_end_with_the_commit() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 3).await;
    database.change_password(user).await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(
        database
            .number("select sessions_ended from session_reaper.revocation")
            .await,
        3
    );
    // And the daemon settles it later.
    let _daemon = database.daemon().await;
    database.settled().await;
}

#[tokio::test]
async fn with_a_daemon_the_changing_transaction_leaves_the_sessions_alone() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 3).await;
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation where tried_inline")
            .await,
        0
    );
}

#[tokio::test]
async fn a_daemon_that_stops_between_the_change_and_its_commit_is_made_up_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let daemon = database.daemon().await;
    let changing = database.connect().await;
    changing
        .batch_execute(&format!(
            "begin; update auth_user set password = 'new' where id = {user}; set constraints all immediate"
        ))
        .await
        .unwrap();
    daemon.stop().await;
    wait_until("nobody serves any more", || async {
        database.daemons().await == 0
    })
    .await;
    changing.batch_execute("commit").await.unwrap();
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_stopped_daemon_does_not_count_as_serving() {
    let database = Database::create().await;
    let daemon = database.daemon().await;
    assert!(
        database
            .query_one("select session_reaper.is_served()", &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    daemon.stop().await;
    wait_until("nobody serves any more", || async {
        !database
            .query_one("select session_reaper.is_served()", &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    })
    .await;
}

/// Any role can take an advisory lock; if it counted, any role could switch the fail-closed path off.
#[tokio::test]
async fn a_role_that_may_not_mark_revocations_cannot_pretend_to_serve() {
    let database = Database::create().await;
    database
        .batch_execute("drop role if exists pretender; create role pretender login")
        .await
        .unwrap();
    let pretender = connect(&database.url().replace("user=postgres", "user=pretender")).await;
    let who: String = pretender
        .query_one("select current_user::text", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(who, "pretender");
    pretender
        .batch_execute("select pg_advisory_lock_shared(1397903442, 1)")
        .await
        .unwrap();
    assert!(
        !database
            .query_one("select session_reaper.is_served()", &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
}

/// A rolling restart begins with `migrate`, while a daemon of the earlier release holds the number that it knows. And who
/// migrates has a daemon's rights, or more, and serves nobody.
#[tokio::test]
async fn a_daemon_of_an_earlier_release_counts_as_serving_and_who_migrates_does_not() {
    let database = Database::create().await;
    let daemon = database.connect().await;
    for (number, served) in [(2, 0), (3, 0), (1, 1)] {
        let lock = format!("select pg_advisory_lock_shared(1397903442, {number})");
        daemon.batch_execute(&lock).await.unwrap();
        let is_served = "select session_reaper.is_served()::integer::bigint";
        assert_eq!(database.number(is_served).await, served, "{number}");
    }
}

#[tokio::test]
async fn a_locked_session_does_not_hold_up_the_change_and_is_left_to_the_daemon() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 3).await;
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "update django_session set session_data = 'saved' where session_key = $1",
            &[&sessions[0]],
        )
        .await
        .unwrap();

    database.change_password(user).await;
    assert_eq!(database.count(&sessions).await, 1);

    let _daemon = database.daemon().await;
    request.commit().await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// Under REPEATABLE READ a session that was saved since the snapshot cannot be deleted; the change goes through.
#[tokio::test]
async fn a_serialization_failure_does_not_fail_the_change() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let mut app = database.connect().await;
    let change = app
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await
        .unwrap();
    change.query("select 1 from auth_user", &[]).await.unwrap();
    database
        .execute("update django_session set session_data = 'saved'", &[])
        .await
        .unwrap();
    site::change_password(&change, user).await.unwrap();
    change.commit().await.unwrap();

    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_bulk_reset_ends_a_bounded_number_of_sessions_in_its_transaction() {
    let database = Database::create().await;
    let users = database.users(12_000).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    // Statistics that still say "empty" have made this take minutes; the time-out bounds that, not the time it takes.
    for statement in [
        "vacuum analyze session_reaper.revocation",
        "vacuum analyze session_reaper.revoked_key",
        "set statement_timeout = '60s'",
    ] {
        database.batch_execute(statement).await.unwrap();
    }
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    let left = database.count(&sessions).await;
    assert!((1..=2_000).contains(&left), "{left} left of 12,000");

    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}
