//! Whatever dies in between, a committed change is honoured (P3): the daemon, its process, or the server.

use session_reaper::{
    demo::{
        server::{Server, Shutdown},
        site,
    },
    settings::Settings,
};

use crate::stage::{
    Database,
    binary::{Binary, EAGER},
    connect,
    hold::{make_deleting_slow, wait_for_a_batch_in_hand},
    start_server, wait_until, without_polling,
};

/// A server's start and stop block; the daemon in this process must not stand still meanwhile.
async fn while_the_daemon_runs<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn stop_immediately(mut server: Server) -> Server {
    while_the_daemon_runs(move || {
        server.stop(Shutdown::Immediate).unwrap();
        server
    })
    .await
}

#[tokio::test]
async fn what_changed_before_during_and_after_a_crash_of_the_server_is_honoured() {
    let server = start_server(&[]);
    let mut database = Database::create_on(&server).await;
    let users = database.users(3).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    let mut settings = without_polling();
    settings.listen.heartbeat_s = 1;
    let _daemon = database.daemon_with(settings).await;

    // A locked session keeps the first change from being settled before the crash.
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute("select from django_session for update", &[])
        .await
        .unwrap();
    database.change_password(users[0]).await;
    let mut server = stop_immediately(server).await;
    let _server = while_the_daemon_runs(move || {
        server.start_again().unwrap();
        server
    })
    .await;
    // Whoever comes first, the app or the daemon.
    database.client = database.connect().await;
    database.change_password(users[1]).await;
    database.served_by(1).await;
    database.change_password(users[2]).await;

    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_daemon_that_is_started_before_its_server_waits_for_it() {
    let server = start_server(&[]);
    let mut database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let mut server = stop_immediately(server).await;

    let daemon = Binary::run(database.url(), &EAGER);
    wait_until("it waits", || async {
        daemon.log().contains("waiting for the database")
    })
    .await;
    server.start_again().unwrap();
    database.client = connect(database.url()).await;
    database.served_by(1).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn revocations_that_were_written_while_no_daemon_ran_are_honoured_at_its_start() {
    let database = Database::create().await;
    let users = database.users(5).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    for user in &users {
        database
            .execute("select session_reaper.revoke_user($1)", &[user])
            .await
            .unwrap();
    }
    let _daemon = database.daemon_with(without_polling()).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// The task is dropped wherever it happens to be, and the next one finds what it left.
#[tokio::test]
async fn daemons_that_die_again_and_again_lose_nothing() {
    let database = Database::create().await;
    let users = database.users(30).await;
    let mut sessions = Vec::new();
    for user in users {
        sessions.extend(database.log_in(user, 2).await);
        let daemon = database.daemon_with(without_polling()).await;
        database.change_password(user).await;
        tokio::time::sleep(std::time::Duration::from_micros(fastrand::u64(0..5_000))).await;
        drop(daemon);
        database.served_by(0).await;
    }
    let _daemon = database.daemon_with(without_polling()).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    let ended = "select sum(sessions_ended)::bigint from session_reaper.revocation";
    assert_eq!(database.number(ended).await, 60);
}

#[tokio::test]
async fn a_daemon_that_is_killed_in_the_middle_of_a_batch_loses_nothing_and_another_takes_over() {
    let database = Database::create().await;
    let users = database.users(10).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    make_deleting_slow(&database).await;
    let mut first = Binary::run(database.url(), &EAGER);
    database.served_by(1).await;
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    wait_for_a_batch_in_hand(&database).await;
    first.kill();
    database.served_by(0).await;
    assert_eq!(database.count(&sessions).await, 10);

    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 1;
    let _second = database.daemon_with(settings).await;
    database.execute("delete from hold", &[]).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    let ended = "select sum(sessions_ended)::bigint from session_reaper.revocation";
    assert_eq!(database.number(ended).await, 10);
}

/// A stopped process keeps its connections; only the server can tell that nobody is there any more (P4).
#[tokio::test]
async fn a_stopped_process_does_not_count_as_serving_and_comes_back_when_it_is_continued() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    let daemon = Binary::run(database.url(), &EAGER);
    database.served_by(1).await;

    database.sessions_backfilled().await;
    daemon.signal("STOP");
    database.served_by(0).await;
    database.change_password(users[0]).await;
    assert_eq!(database.count(&sessions).await, 1);

    daemon.signal("CONT");
    database.served_by(1).await;
    database.change_password(users[1]).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}
