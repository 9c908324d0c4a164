//! What a purge deletes, and what it leaves alone.

use session_reaper::{
    demo::site,
    purger::Purger,
    schema::Site,
    settings::{Purge, Settings},
    shutdown::Stop,
};

use crate::stage::{Database, wait_until};

async fn purger(database: &Database) -> Purger {
    let site = Site::inspect(&database.client, &Settings::default().site)
        .await
        .unwrap();
    Purger::new(database.target().pool().unwrap(), &site)
}

fn settings(batch_rows: u32) -> Purge {
    Purge {
        batch_rows,
        pause_ratio: 0.0,
        ..Purge::default()
    }
}

#[tokio::test]
async fn expired_sessions_go_in_batches_and_live_ones_stay() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let live = database.log_in(user, 3).await;
    let expired = site::abandon(&database.client, 25).await.unwrap();

    let purger = purger(&database).await;
    assert_eq!(purger.count_expired().await.unwrap(), 25);
    let report = purger
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();

    assert_eq!((report.sessions, report.batches), (25, 3));
    assert_eq!(database.count(&expired).await, 0);
    assert_eq!(database.count(&live).await, 3);
}

#[tokio::test]
async fn a_session_that_is_saved_while_it_expires_is_left_alone() {
    let database = Database::create().await;
    let expired = site::abandon(&database.client, 3).await.unwrap();
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute("update django_session set expire_date = now() + interval '1 day' where session_key = $1", &[&expired[0]])
        .await
        .unwrap();

    let report = purger(&database)
        .await
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();
    request.commit().await.unwrap();

    assert_eq!(report.sessions, 2);
    assert_eq!(database.count(&expired).await, 1);
}

#[tokio::test]
async fn replicas_do_not_purge_side_by_side() {
    let database = Database::create().await;
    site::abandon(&database.client, 3).await.unwrap();
    let mut other = database.connect().await;
    let purging = other.transaction().await.unwrap();
    purging
        .batch_execute("select pg_advisory_xact_lock(1397903442, 3)")
        .await
        .unwrap();

    let purger = purger(&database).await;
    let report = purger
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();
    assert!(report.taken && report.sessions == 0);

    purging.commit().await.unwrap();
    assert_eq!(
        purger
            .purge(&settings(10), &Stop::default(), |_| {})
            .await
            .unwrap()
            .sessions,
        3
    );
}

#[tokio::test]
async fn one_daemon_takes_a_tick_and_a_missed_one_is_made_up_for() {
    let database = Database::create().await;
    let purger = purger(&database).await;
    assert!(purger.claim(1_000).await.unwrap());
    assert!(!purger.claim(1_000).await.unwrap());
    assert!(!purger.claim(999).await.unwrap());
    assert!(purger.claim(1_001).await.unwrap());
}

#[tokio::test]
async fn the_daemon_purges_on_its_schedule() {
    let database = Database::create().await;
    let mut settings = Settings::default();
    settings.purge.schedule = "* * * * * *".to_owned();
    let _daemon = database.daemon_with(settings).await;
    for _ in 0..2 {
        let expired = site::abandon(&database.client, 5).await.unwrap();
        wait_until("they are purged", || async {
            database.count(&expired).await == 0
        })
        .await;
    }
}

#[tokio::test]
async fn settled_revocations_are_pruned_after_their_retention_and_open_ones_never() {
    let database = Database::create().await;
    let users = database.users(2).await;
    database.change_password(users[0]).await;
    let daemon = database.daemon().await;
    database.settled().await;
    daemon.stop().await;
    database.change_password(users[1]).await;
    database
        .batch_execute(
            "update session_reaper.revocation set settled_at = settled_at - interval '91 days';
            update session_reaper.change set at = at - interval '91 days'",
        )
        .await
        .unwrap();

    let report = purger(&database)
        .await
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();

    assert_eq!(report.revocations, 1);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.change")
            .await,
        1
    );
    assert_eq!(database.open_revocations().await, 1);
}

#[tokio::test]
async fn a_stop_ends_a_purge_between_two_batches() {
    let database = Database::create().await;
    site::abandon(&database.client, 30).await.unwrap();
    let stop = Stop::default();
    let ring = stop.clone();
    let report = purger(&database)
        .await
        .purge(&settings(10), &stop, move |_| ring.stop())
        .await
        .unwrap();
    assert_eq!(report.sessions, 10);
}
