//! A database that was restored from a dump of another server: its transaction ids have begun anew, and those that came
//! along lie in the future.

use std::process::Command;

use session_reaper::{
    demo::{server::Server, site},
    settings::Settings,
};
use tokio_postgres::Client;

use crate::stage::{
    Database,
    django::{exists, log_in, read_table},
    start_server, wait_until,
};

/// As if everything until a distant transaction had been read.
const READ_ELSEWHERE: &str = "update session_reaper.drain set drained_to = '900000000:900000000:'";

/// Its transaction ids lie in this server's future, where nothing is visible.
#[tokio::test]
async fn a_change_that_came_with_a_dump_does_not_end_new_logins() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    database
        .batch_execute("update session_reaper.change set xid = (xid::text::bigint + 1000000)::text::xid8, stamps = 3")
        .await
        .unwrap();
    let key = site::visit(&database.client, 1).await.unwrap();
    database
        .execute(
            "select session_reaper.link_session($1::text::varchar, $2, session_reaper.credential_version($2))",
            &[&key[0], &user],
        )
        .await
        .unwrap();
    database
        .batch_execute("update session_reaper.revocation set state = 'requested'")
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&key).await, 1);
}

/// Some day this server's transactions reach the id that came along.
#[tokio::test]
async fn nor_does_it_once_its_transaction_id_has_been_reached() {
    // Tests beside this one must not use up its transactions.
    let server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    let future = "update session_reaper.change set stamps = 3,
        xid = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 300)::text::xid8";
    database.batch_execute(future).await.unwrap();
    database.purge().await;
    let key = database.log_in(user, 1).await;
    for _ in 0..400 {
        database
            .batch_execute("select pg_current_xact_id()")
            .await
            .unwrap();
    }
    let again = "update session_reaper.revocation set state = 'requested'";
    database.batch_execute(again).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&key).await, 1);
}

#[tokio::test]
async fn sessions_are_read_though_a_dump_says_that_all_until_a_later_transaction_have_been() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.batch_execute(READ_ELSEWHERE).await.unwrap();
    let _daemon = database.daemon().await;
    for _ in 0..2 {
        let session = log_in(&database, user).await;
        database.change_password(user).await;
        database.settled().await;
        assert!(!exists(&database, &session).await);
        // The server is another one under a daemon that goes on running.
        database.batch_execute(READ_ELSEWHERE).await.unwrap();
    }
}

/// What is noted before a daemon looks must not count as read by the time when transaction ids have caught up.
#[tokio::test]
async fn what_a_dump_says_has_been_read_is_forgotten_by_the_first_look() {
    let database = Database::create().await;
    read_table(&database).await;
    database.batch_execute(READ_ELSEWHERE).await.unwrap();
    let user = database.users(1).await[0];
    let ask = format!("select session_reaper.revoke_user({user})");
    let may_be = "select count(*) from session_reaper.change c
        where session_reaper.may_be_unlinked(c.xid, c.begun_at, 'infinity', null, 'others')";
    database.batch_execute(&ask).await.unwrap();
    assert_eq!(database.number(may_be).await, 0, "nothing is unread");
    log_in(&database, user).await;
    assert_eq!(database.number(may_be).await, 1);
    let daemon = database.daemon().await;
    database.settled().await;
    daemon.stop().await;
    let future = "select count(*) from session_reaper.drain q
        where pg_snapshot_xmax(q.drained_to) > pg_snapshot_xmax(pg_current_snapshot())";
    assert_eq!(database.number(future).await, 0);
}

/// This server's ids have passed the one that came along before any daemon looks.
#[tokio::test]
async fn a_change_from_another_server_ends_no_newer_login_though_the_daemon_starts_late() {
    // Tests beside this one must not use up its transactions.
    let server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    daemon.stop().await;
    let restored = "update session_reaper.origin set system_identifier = 1;
        update session_reaper.change set stamps = 3,
            xid = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 300)::text::xid8";
    database.batch_execute(restored).await.unwrap();
    let key = database.log_in(user, 1).await;
    for _ in 0..400 {
        database
            .batch_execute("select pg_current_xact_id()")
            .await
            .unwrap();
    }
    let again = "update session_reaper.revocation set state = 'requested'";
    database.batch_execute(again).await.unwrap();
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&key).await, 1);
}

/// What a restored snapshot claims to have seen, it has not.
#[tokio::test]
async fn a_restored_session_is_older_than_a_change_made_here_whatever_the_clock_of_its_server_said()
{
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let key = database.log_in(user, 1).await;
    let restored = "update session_reaper.origin set system_identifier = 1;
        update session_reaper.user_session set xid = '900000000', snapshot = '900000000:900000000:',
            begun_at = now() + interval '1 hour', from_data = true;
        -- Or whose it is now would be left to the next daemon.
        delete from session_reaper.pending_link";
    database.batch_execute(restored).await.unwrap();
    database.migrate().await;
    database.change_password(user).await;
    assert_eq!(database.count(&key).await, 0);
}

/// It began after the change, and only its version says that it had not seen it.
#[tokio::test]
async fn a_restored_session_that_was_dead_on_arrival_ends_here() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let key = site::visit(&database.client, 1).await.unwrap();
    let version = "select session_reaper.credential_version($1)";
    let version: String = database.query_one(version, &[&user]).await.unwrap().get(0);
    database.change_password(user).await;
    // As it was dumped, before anybody had ended it.
    database
        .batch_execute("set session_replication_role = replica")
        .await
        .unwrap();
    let dumped = "insert into session_reaper.user_session
            (session_key, user_id, credential_version, xid, begun_at, snapshot)
        values ($1, $2, '1.1/' || split_part($3, '/', 2), pg_current_xact_id(), now(),
            session_reaper.version_snapshot($3))";
    database
        .execute(dumped, &[&key[0], &user, &version])
        .await
        .unwrap();
    database
        .batch_execute(
            "reset session_replication_role; update session_reaper.origin set system_identifier = 1",
        )
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&key).await, 0);
}

/// Runs one of PostgreSQL's programs.
fn program(server: &Server, name: &str, arguments: &[&str]) -> String {
    let output = Command::new(server.bin_dir().join(name))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Puts an empty database in the place of another one, and its daemon with it.
async fn replace_by_empty(maintenance: &Client, name: &str) {
    let replace = [
        format!("alter database {name} with allow_connections false"),
        format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"),
        format!("drop database {name} with (force)"),
        format!("create database {name}"),
    ];
    for statement in replace {
        maintenance.batch_execute(&statement).await.unwrap();
    }
}

/// What it wrote there would be in the way of the rows that are still to come, and what has not come yet it would take for
/// gone.
#[tokio::test]
async fn a_daemon_leaves_a_database_alone_until_all_of_its_dump_is_there() {
    let server = start_server(&[]);
    let mut database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let keys = database.log_in(user, 2).await;
    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 1;
    let _daemon = database.daemon_with(settings).await;
    database.sessions_backfilled().await;
    // Their revocation stays open.
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    let hold = "select from django_session for update";
    request.execute(hold, &[]).await.unwrap();
    database.change_password(user).await;
    let file = std::env::temp_dir().join(format!("session-reaper-{:x}", fastrand::u64(..)));
    let dump = file.to_str().unwrap();
    let url = database.url().to_owned();
    program(&server, "pg_dump", &["-Fc", "-f", dump, &url]);
    drop(request);

    let maintenance = crate::stage::connect(&server.url("postgres")).await;
    replace_by_empty(&maintenance, database.name()).await;
    let restore = |how: &[&str]| {
        let arguments = [how, &["-e", "-d", &url, dump]].concat();
        program(&server, "pg_restore", &arguments);
    };
    let contents = program(&server, "pg_restore", &["-l", dump]);
    let (links, others): (Vec<&str>, Vec<&str>) = contents
        .lines()
        .filter(|line| line.contains(" TABLE DATA ") || line.contains(" SEQUENCE SET "))
        .partition(|line| line.contains(" session_reaper user_session "));
    let list = format!("{dump}.list");
    let restore_rows = |entries: &[&str]| {
        std::fs::write(&list, entries.join("\n")).unwrap();
        restore(&["-L", &list]);
    };
    restore(&["--section=pre-data"]);
    restore_rows(&others);
    database.client = database.connect().await;
    let looked =
        "select sum(sessions)::bigint from pg_stat_database where datname = current_database()";
    let works = "select count(*) from pg_stat_activity
        where datname = current_database() and query like '-- revoke::table%'";
    let keeps_out = async || {
        let before = database.number(looked).await;
        wait_until("the daemon has looked", || async {
            database.number(looked).await > before + 20 || database.number(works).await > 0
        })
        .await;
        assert_eq!(database.number(works).await, 0);
    };
    keeps_out().await;
    restore_rows(&links);
    // On a large site it takes minutes from the one to the other, and nothing cascades until then.
    let (early, late): (Vec<&str>, Vec<&str>) = contents
        .lines()
        .filter(|line| {
            [" CONSTRAINT ", " INDEX ", " TRIGGER "]
                .iter()
                .any(|kind| line.contains(kind))
        })
        .partition(|line| !line.contains(" FK CONSTRAINT ") && !line.contains(" TRIGGER "));
    restore_rows(&early);
    keeps_out().await;
    restore_rows(&late);
    database.settled().await;
    assert_eq!(database.count(&keys).await, 0);
    std::fs::remove_file(list).unwrap();
    std::fs::remove_file(file).unwrap();
}
