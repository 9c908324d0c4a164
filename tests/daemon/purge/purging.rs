//! What a purge deletes, and what it leaves alone.

use std::time::Duration;

use session_reaper::{
    demo::site,
    process::shutdown::Stop,
    settings::{Purge, Settings},
};

use crate::stage::{
    Database,
    hold::{make_deleting_slow, wait_for_a_batch_in_hand},
    wait_until,
};

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

    let purger = database.purger().await;
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

    let report = database
        .purger()
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
    make_deleting_slow(&database).await;
    let other = database.purger().await;
    let purging = tokio::spawn(async move {
        let report = other
            .purge(&settings(10), &Stop::default(), |_| {})
            .await
            .unwrap();
        report.sessions
    });
    wait_for_a_batch_in_hand(&database).await;

    let report = database
        .purger()
        .await
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();
    assert!(report.taken && report.sessions == 0);

    database.batch_execute("delete from hold").await.unwrap();
    assert_eq!(purging.await.unwrap(), 3);
}

#[tokio::test]
async fn one_daemon_takes_a_tick_and_a_missed_one_is_made_up_for() {
    let database = Database::create().await;
    let purger = database.purger().await;
    assert!(purger.claim(1_000).await.unwrap());
    assert!(!purger.claim(1_000).await.unwrap());
    assert!(!purger.claim(999).await.unwrap());
    assert!(purger.claim(1_001).await.unwrap());
}

/// The clock of one daemon's host is years ahead.
#[tokio::test]
async fn a_tick_that_the_servers_clock_has_not_reached_keeps_nobody_from_purging() {
    let database = Database::create().await;
    let now = database
        .number("select extract(epoch from now())::bigint")
        .await;
    let purger = database.purger().await;
    assert!(purger.claim(now + 315_000_000).await.unwrap());
    assert!(purger.claim(now + 3_600).await.unwrap());
    let ahead = "select count(*) from session_reaper.purge p where p.tick > clock_timestamp()";
    assert_eq!(database.number(ahead).await, 0);
    // One that an earlier clock of the server itself has left.
    database
        .batch_execute("update session_reaper.purge set tick = now() + interval '10 years'")
        .await
        .unwrap();
    assert!(purger.claim(now).await.unwrap());
    assert!(!purger.claim(now).await.unwrap());
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
            update session_reaper.change set at = at - interval '91 days';
            update session_reaper.horizon set passed_at = passed_at - interval '91 days'",
        )
        .await
        .unwrap();

    let report = database
        .purger()
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
    let horizons = "select count(*) from session_reaper.horizon";
    assert_eq!(database.number(horizons).await, 0);
    assert_eq!(database.open_revocations().await, 1);
}

#[tokio::test]
async fn one_purge_prunes_all_that_is_due_and_what_nothing_names_any_more() {
    let database = Database::create().await;
    database
        .batch_execute(
            "insert into session_reaper.change (xid, begun_at, at, stamps)
            select '3', now() - interval '91 days' + n * interval '1 ms', now() - interval '91 days', 3
            from generate_series(1, 25001) n;
            insert into session_reaper.revocation (change_id, scope, user_id, reason, state, settled_at)
            select c.id, 'user', 1, 'requested', 'settled', case when c.id = 25001 then now() else c.at end
            from session_reaper.change c where c.id > 5",
        )
        .await
        .unwrap();
    let purger = database.purger().await;
    let (settings, stop) = (settings(10), Stop::default());
    let report = purger.purge(&settings, &stop, |_| {});
    assert_eq!(report.await.unwrap().revocations, 24_995);
    let changes = "select count(*) from session_reaper.change";
    assert_eq!(database.number(changes).await, 1);
}

#[tokio::test]
async fn a_stop_ends_a_purge_between_two_batches() {
    let database = Database::create().await;
    site::abandon(&database.client, 30).await.unwrap();
    let stop = Stop::default();
    let ring = stop.clone();
    let report = database
        .purger()
        .await
        .purge(&settings(10), &stop, move |_| ring.stop())
        .await
        .unwrap();
    assert_eq!(report.sessions, 10);
}

/// All at one time, as they are where many logged in at once or a column counts seconds.
async fn expire(database: &Database, keys: &[String], hours_ago: i32) {
    database
        .execute(
            "update django_session set expire_date = date_trunc('hour', now()) - make_interval(hours => $2)
             where session_key = any ($1)",
            &[&keys, &hours_ago],
        )
        .await
        .unwrap();
}

/// Whoever deletes a user holds the links of the user's sessions, and wants the sessions next.
#[tokio::test]
async fn whoever_deletes_a_user_is_not_waited_for_and_is_no_deadlocks_victim() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let theirs = database.log_in(users[0], 40).await;
    let others = database.log_in(users[1], 40).await;
    expire(&database, &[theirs.clone(), others.clone()].concat(), 2).await;
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute("delete from auth_user where id = $1", &[&users[0]])
        .await
        .unwrap();

    let purger = database.purger().await;
    let purging = tokio::spawn(async move {
        purger
            .purge(&settings(100), &Stop::default(), |_| {})
            .await
            .unwrap()
    });
    // Long enough for a purge that waits to be in the middle of it.
    tokio::time::sleep(Duration::from_millis(700)).await;
    // Less than the server takes to find a deadlock, whoever its victim would be.
    request
        .batch_execute("set local lock_timeout = '900ms'")
        .await
        .unwrap();
    request
        .execute(
            "delete from django_session where session_key = any ($1)",
            &[&theirs],
        )
        .await
        .expect("no deadlock, and nobody who holds them");
    // It does not wait for this transaction to end.
    let report = purging.await.unwrap();
    request.rollback().await.unwrap();

    assert_eq!((report.sessions, report.refused), (40, 0));
    assert_eq!(database.count(&theirs).await, 40);
    assert_eq!(database.count(&others).await, 0);
}

/// More of them than a batch takes, at the front and at one time.
#[tokio::test]
async fn sessions_in_use_keep_no_others_and_go_with_the_next_pass() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let busy = database.log_in(users[0], 35).await;
    let as_old = database.log_in(users[1], 5).await;
    let younger = database.log_in(users[1], 20).await;
    expire(&database, &[busy.clone(), as_old.clone()].concat(), 3).await;
    expire(&database, &younger, 2).await;
    let mut app = database.connect().await;
    let purger = database.purger().await;
    for hold in [
        "select from session_reaper.user_session where session_key = any ($1) for update",
        "select from django_session where session_key = any ($1) for update",
    ] {
        let request = app.transaction().await.unwrap();
        request.execute(hold, &[&busy]).await.unwrap();
        let report = purger
            .purge(&settings(10), &Stop::default(), |_| {})
            .await
            .unwrap();
        assert_eq!(report.refused, 0);
        assert_eq!(database.count(&busy).await, 35);
        assert_eq!(
            database
                .count(&[as_old.clone(), younger.clone()].concat())
                .await,
            0
        );
        request.rollback().await.unwrap();
    }
    let report = purger
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();
    assert_eq!((report.sessions, report.refused), (35, 0));
}

/// The site's own table is unknown to us, so its rows are found to be in use only when they are waited for.
#[tokio::test]
async fn what_the_site_holds_of_its_own_is_waited_for_no_longer_than_a_moment() {
    let database = Database::create().await;
    database
        .batch_execute(
            "create table cart (session_key varchar(40) primary key
                references django_session on delete cascade)",
        )
        .await
        .unwrap();
    let expired = site::abandon(&database.client, 50).await.unwrap();
    database
        .execute("insert into cart select unnest($1::text[])", &[&expired])
        .await
        .unwrap();
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "select from cart where session_key = any ($1) for update",
            &[&&expired[10..15]],
        )
        .await
        .unwrap();

    let purger = database.purger().await;
    let report = purger
        .purge(&settings(100), &Stop::default(), |_| {})
        .await
        .unwrap();

    assert_eq!((report.sessions, report.refused), (45, 0));
    assert_eq!(database.count(&expired[10..15]).await, 5);
    request.rollback().await.unwrap();
    let report = purger
        .purge(&settings(100), &Stop::default(), |_| {})
        .await
        .unwrap();
    assert_eq!((report.sessions, report.refused), (5, 0));
}

#[tokio::test]
async fn a_batch_full_of_sessions_that_cannot_be_deleted_does_not_hide_the_others() {
    let database = Database::create().await;
    database
        .batch_execute("create table cart (session_key varchar(40) references django_session)")
        .await
        .unwrap();
    let referred = site::abandon(&database.client, 25).await.unwrap();
    let others = site::abandon(&database.client, 5).await.unwrap();
    database
        .execute("insert into cart select unnest($1::text[])", &[&referred])
        .await
        .unwrap();
    expire(&database, &referred, 3).await;
    expire(&database, &others, 2).await;
    let report = database
        .purger()
        .await
        .purge(&settings(10), &Stop::default(), |_| {})
        .await
        .unwrap();
    assert_eq!((report.sessions, report.refused), (5, 25));
    assert_eq!(database.count(&others).await, 0);
}

/// The command `pause` asks no daemon, and a pass may take minutes.
#[tokio::test]
async fn a_pass_that_is_under_way_ends_when_a_pause_begins() {
    let database = Database::create().await;
    let expired = site::abandon(&database.client, 30).await.unwrap();
    make_deleting_slow(&database).await;
    let purger = database.purger().await;
    let purging = tokio::spawn(async move {
        purger
            .purge(&settings(10), &Stop::default(), |_| {})
            .await
            .unwrap()
    });
    wait_for_a_batch_in_hand(&database).await;
    database
        .batch_execute("insert into session_reaper.pause default values; delete from hold")
        .await
        .unwrap();
    assert_eq!(purging.await.unwrap().sessions, 10);
    assert_eq!(database.count(&expired).await, 20);
}
