//! A migration of the site's that nobody paused for holds a lock on its tables: what can be told is told, and a daemon
//! that starts meanwhile waits.

use serde_json::Value;

use crate::stage::{
    Database,
    figures::{
        Said::{Exactly, Nothing},
        assert_moved, metrics,
    },
    program::{Daemon, run},
};

#[tokio::test]
async fn a_lock_on_the_user_table_hides_neither_the_status_nor_that_the_database_is_served() {
    let database = Database::create().await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    for table in ["auth_user", "django_session"] {
        let mut site = database.connect().await;
        let migration = site.transaction().await.unwrap();
        migration
            .batch_execute(&format!("lock table {table} in access exclusive mode"))
            .await
            .unwrap();
        let ended = run(database.url(), &["status"]).await;
        assert!(
            ended.stdout.contains("served     yes"),
            "{table}: {}{}",
            ended.stdout,
            ended.stderr
        );
        let metrics = metrics(&database).await;
        assert_eq!(metrics["session_reaper_served"], 1.0);
        let json: Value =
            serde_json::from_str(&run(database.url(), &["status", "--json"]).await.stdout).unwrap();
        let unknown = json["unknown"].as_array().unwrap().len();
        assert_eq!(metrics["session_reaper_unknown"], unknown as f64);
        if unknown > 0 {
            assert_eq!(ended.code, Some(1));
            assert!(
                ended.stdout.contains("\nnot known  whether triggers"),
                "{}",
                ended.stdout
            );
            assert!(!metrics.contains_key("session_reaper_problems"));
        }
        migration.commit().await.unwrap();
    }
    run(database.url(), &["status"]).await.assert_done();
}

/// Even of our own tables: whether the database is served stands in none.
#[tokio::test]
async fn where_nothing_else_can_be_read_the_metrics_say_still_whether_it_is_served() {
    let database = Database::create().await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    let before = metrics(&database).await;
    let mut other = database.connect().await;
    let holds = other.transaction().await.unwrap();
    holds
        .batch_execute("lock table session_reaper.user_session in access exclusive mode")
        .await
        .unwrap();
    let locked = metrics(&database).await;
    assert_eq!(locked["session_reaper_served"], 1.0);
    assert_moved(
        &before,
        &locked,
        &[
            ("unknown", Exactly(0.0), Exactly(1.0)),
            ("problems", Exactly(0.0), Nothing),
        ],
    );
}

#[tokio::test]
async fn a_daemon_that_starts_under_a_lock_waits_for_its_end() {
    let database = Database::create().await;
    let mut site = database.connect().await;
    let migration = site.transaction().await.unwrap();
    migration
        .batch_execute("lock table auth_user, django_session, session_reaper.behaviour in access exclusive mode")
        .await
        .unwrap();
    let daemon = Daemon::start(database.url());
    daemon.says("waiting for the database").await;
    daemon.says("somebody else holds the lock").await;
    migration.commit().await.unwrap();
    daemon.serves().await;
}
