//! Connections that are lost, cut or half-open: what changed meanwhile is honoured (P3), and the daemon comes
//! back by itself.

use session_reaper::{connection::Target, settings::Settings};

use crate::stage::{
    Database, connect, impatient_target, proxy::Proxy, server, wait_until, without_polling,
};

/// Nothing is found by polling, and a dead connection is noticed as early as settings allow.
fn watchful() -> Settings {
    let mut settings = without_polling();
    settings.listen.heartbeat_s = 1;
    settings
}

async fn behind_a_proxy() -> (Database, Proxy, Target) {
    let database = Database::create().await;
    let proxy = Proxy::before(server().port()).await;
    let target = impatient_target(&proxy.url(database.name()));
    (database, proxy, target)
}

/// Without a daemon the changing transaction would end a free session itself; a locked one is the daemon's.
async fn change_password_of_a_locked_session(database: &Database, user: i32, session: &str) {
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "select from django_session where session_key = $1 for update",
            &[&session],
        )
        .await
        .unwrap();
    database.change_password(user).await;
    request.commit().await.unwrap();
}

#[tokio::test]
async fn what_changed_while_nobody_listened_is_honoured_on_the_next_connect() {
    let (database, mut proxy, target) = behind_a_proxy().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon_at(watchful(), target).await;

    proxy.refuse().await;
    database.served_by(0).await;
    change_password_of_a_locked_session(&database, user, &sessions[0]).await;
    assert_eq!(database.count(&sessions).await, 1);

    proxy.restore().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    database.served_by(1).await;
}

#[tokio::test]
async fn a_listening_connection_that_is_cut_is_replaced() {
    let (database, proxy, target) = behind_a_proxy().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon_at(watchful(), target).await;

    for _ in 0..3 {
        let before = listener_pid(&database).await;
        proxy.cut();
        wait_until("another connection listens", || async {
            let now = listener_pid(&database).await;
            now.is_some() && now != before
        })
        .await;
        let sessions = database.log_in(user, 1).await;
        database.change_password(user).await;
        database.settled().await;
        assert_eq!(database.count(&sessions).await, 0);
    }
}

/// New connections would do, but the daemon has to notice by itself that its old ones lead nowhere: all of them,
/// those that it sends the heartbeat and the work through as well.
#[tokio::test]
async fn a_half_open_listening_connection_is_noticed_by_the_heartbeat_and_replaced() {
    let (database, mut proxy, target) = behind_a_proxy().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon_at(watchful(), target).await;

    proxy.black_hole();
    proxy.restore().await;
    database.change_password(user).await;

    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    database.served_by(1).await;
}

/// Here the workers are in the middle of something when the network goes, and nothing can be reached for a while.
#[tokio::test]
async fn workers_that_wait_for_an_answer_that_never_comes_give_up_and_go_on() {
    let (database, mut proxy, target) = behind_a_proxy().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let mut settings = watchful();
    settings.listen.poll_interval_s = 1;
    let _daemon = database.daemon_at(settings, target).await;
    database.sessions_backfilled().await;

    proxy.black_hole();
    // The server ends the silent connection, so that nobody believes in a daemon that hears nothing.
    database.served_by(0).await;
    change_password_of_a_locked_session(&database, user, &sessions[0]).await;
    assert_eq!(database.count(&sessions).await, 1);

    proxy.restore().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    database.served_by(1).await;
}

#[tokio::test]
async fn a_listening_connection_that_an_administrator_ends_is_replaced() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon_with(watchful()).await;

    let before = listener_pid(&database).await;
    database
        .execute("select pg_terminate_backend($1)", &[&before])
        .await
        .unwrap();
    wait_until("another connection listens", || async {
        let now = listener_pid(&database).await;
        now.is_some() && now != before
    })
    .await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn ending_all_connections_of_the_daemon_again_and_again_loses_nothing() {
    let database = Database::create().await;
    let users = database.users(20).await;
    let _daemon = database.daemon_with(watchful()).await;
    let mut sessions = Vec::new();
    let administrator = connect(database.url()).await;
    for user in users {
        sessions.extend(database.log_in(user, 2).await);
        database.change_password(user).await;
        administrator
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name = 'session-reaper'",
                &[],
            )
            .await
            .unwrap();
    }
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    let ended = "select sum(sessions_ended)::bigint from session_reaper.revocation";
    assert_eq!(database.number(ended).await, 40);
    database.served_by(1).await;
}

async fn listener_pid(database: &Database) -> Option<i32> {
    let row = database
        .query_opt(
            "select pid from pg_locks where locktype = 'advisory' and classid = 1397903442 and objid not in (2, 3) and objsubid = 2
             and database = (select oid from pg_database where datname = current_database())",
            &[],
        )
        .await
        .unwrap();
    row.map(|row| row.get(0))
}
