//! A row that the database refuses to hand out, or to link, holds up no other: it is set aside and counted (P8).

use session_reaper::demo::server::Server;

use crate::stage::{
    Database, connect,
    django::{data, data_of, exists, links, log_in, open},
    figures::{metrics, unreadable_by},
    program::{Daemon, run},
    server, start_server, wait_until,
};

/// A server whose databases do not know which encoding their texts have.
async fn server_without_encoding() -> Server {
    let server = start_server(&[]);
    let alter = "alter database template1 is_template false";
    connect(&server.url("postgres"))
        .await
        .batch_execute(alter)
        .await
        .unwrap();
    for statement in [
        "drop database template1",
        "create database template1 template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'",
    ] {
        let client = connect(&server.url("postgres")).await;
        client.batch_execute(statement).await.unwrap();
    }
    server
}

async fn counted(database: &Database, reason: &str) -> i64 {
    let count = format!(
        "select coalesce(sum(writes), 0)::bigint from session_reaper.unreadable where reason = '{reason}'"
    );
    database.number(&count).await
}

/// Anonymous data with bytes behind it that are no UTF-8.
async fn open_no_text(database: &Database, key: &str, data: &str) {
    let statement = format!(
        r"insert into django_session values ('{key}', '{data}' || E'\xe9\xff', now() + interval '1 day')"
    );
    database.batch_execute(&statement).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_text_hold_up_neither_the_reading_nor_a_revocation() {
    let server = server_without_encoding().await;
    let database = Database::create_bare(&server).await;
    let users = database.users(2).await;
    // One before the installation, for the pages, and one after it, for the queue.
    open_no_text(&database, "before", "").await;
    let old = open(&database, &data_of(users[0])).await;
    database.migrate().await;
    let linked = run(database.url(), &["link"]).await;
    assert_eq!(linked.code, Some(0), "{}", linked.stderr);
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    open_no_text(&database, "after", "").await;
    let new = log_in(&database, users[1]).await;
    wait_until("the others are linked", || async {
        links(&database).await == 2
    })
    .await;
    for user in &users {
        database.change_password(*user).await;
    }
    database.settled().await;
    assert!(!exists(&database, &old).await && !exists(&database, &new).await);
    assert_eq!(counted(&database, "not_base64").await, 2);
    assert!(
        !server.log().contains("invalid byte sequence"),
        "{}",
        server.log()
    );
}

/// What its encoding does not know stands in no database that knows it, but for one that was made to say so.
#[tokio::test]
async fn what_the_database_refuses_to_hand_out_is_counted_and_everything_else_is_read() {
    let server = server_without_encoding().await;
    let mut database = Database::create_bare(&server).await;
    let user = database.users(1).await[0];
    open_no_text(&database, "before", "").await;
    let old = open(&database, &data_of(user)).await;
    database.migrate().await;
    open_no_text(&database, "after", "").await;
    let lie = format!(
        "update pg_database set encoding = pg_char_to_encoding('UTF8') where datname = '{}'",
        database.name()
    );
    database.batch_execute(&lie).await.unwrap();
    database.client = database.connect().await;
    let _daemon = database.daemon().await;
    wait_until("the other is linked", || async {
        links(&database).await == 1
    })
    .await;
    database.change_password(user).await;
    database.settled().await;
    assert!(!exists(&database, &old).await);
    // Once for each time that it was read: the page may have come by after the queue.
    assert!(counted(&database, "refused").await >= 2);
    let figures = metrics(&database).await;
    assert!(unreadable_by(&figures, "refused") >= Some(2.0));
    let status = run(database.url(), &["status"]).await.stdout;
    assert!(status.contains("refused "), "{status}");
    assert!(
        !server.log().contains("invalid byte sequence"),
        "{}",
        server.log()
    );
}

/// A foreign key looks into the table that it names and not into those that inherit from it, where a query finds the user.
#[tokio::test]
async fn a_user_whom_no_foreign_key_can_reach_holds_up_nobody() {
    let server = start_server(&[]);
    let database = Database::create_bare(&server).await;
    let user = database.users(1).await[0];
    let staff = "create table staff () inherits (auth_user);
        insert into staff select * from auth_user;
        update staff set id = 1000000, username = 'root'";
    database.batch_execute(staff).await.unwrap();
    let before = [
        open(&database, &data_of(1_000_000)).await,
        open(&database, &data_of(user)).await,
    ];
    database.migrate().await;
    let linked = run(database.url(), &["link"]).await;
    assert_eq!(linked.code, Some(0), "{}", linked.stderr);
    let _daemon = database.daemon().await;
    let after = [
        log_in(&database, 1_000_000).await,
        log_in(&database, user).await,
    ];
    wait_until("the user's are linked", || async {
        links(&database).await == 2
    })
    .await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&before).await, 1);
    assert_eq!(database.count(&after).await, 1);
    assert!(counted(&database, "not_linkable").await >= 2);
    let figures = metrics(&database).await;
    assert!(unreadable_by(&figures, "not_linkable") >= Some(2.0));
    for key in before.iter().chain(&after) {
        assert!(
            !server.log().contains(key.as_str()),
            "a key is in the server's log"
        );
    }
}

/// An objection of our own making stands for what nobody has thought of.
#[tokio::test]
async fn whatever_the_database_objects_to_in_one_link_the_others_of_the_batch_are_made() {
    let database = Database::create_bare(server()).await;
    let users = database.users(40).await;
    for user in &users {
        open(&database, &data_of(*user)).await;
    }
    database.migrate().await;
    let refuse = |user: i32| {
        format!(
            "alter table session_reaper.user_session add constraint refuse check (user_id <> {user})"
        )
    };
    database.batch_execute(&refuse(users[17])).await.unwrap();
    let linked = run(database.url(), &["link"]).await;
    assert_eq!(linked.code, Some(0), "{}", linked.stderr);
    assert_eq!(links(&database).await, 39);
    for user in &users {
        open(&database, &data_of(*user)).await;
    }
    let _daemon = database.daemon().await;
    wait_until("all but two are linked", || async {
        links(&database).await == 78
    })
    .await;
    assert_eq!(counted(&database, "not_linkable").await, 2);
}

#[tokio::test]
async fn a_site_whose_sessions_all_name_users_that_nobody_can_read_has_a_problem() {
    let database = Database::create_bare(server()).await;
    for _ in 0..20 {
        open(&database, &data(r#"{"_auth_user_id":{"uuid":"x"}}"#)).await;
    }
    database.migrate().await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    database.sessions_backfilled().await;
    let status = run(database.url(), &["status"]).await;
    assert_eq!(status.code, Some(1));
    assert!(
        status
            .stdout
            .contains("problem    no session is linked to a user"),
        "{}",
        status.stdout
    );
    let metrics = run(database.url(), &["status", "--metrics"]).await.stdout;
    assert!(metrics.contains("session_reaper_problems 1"), "{metrics}");
    let doctor = run(database.url(), &["doctor"]).await;
    assert!(
        doctor.stdout.contains("so a revocation ends nothing"),
        "{}",
        doctor.stdout
    );
    // One that is linked shows that it can be done.
    let user = database.users(1).await[0];
    log_in(&database, user).await;
    wait_until("it is linked", || async { links(&database).await == 1 }).await;
    assert_eq!(run(database.url(), &["status"]).await.code, Some(0));
}

/// Where the encoding is not known, keys may be of any bytes. Also of a user whose key does not fit before the site has migrated.
#[tokio::test]
async fn a_session_whose_key_is_no_text_can_be_kept_when_its_user_changes_the_password() {
    let server = server_without_encoding().await;
    for paused in [false, true] {
        let database = Database::create_bare(&server).await;
        database.migrate().await;
        let mut user = i64::from(database.users(1).await[0]);
        let sessions = format!(
            r"insert into django_session values
                (E'kept\xe9\xff', '', now() + interval '1 day'), (E'gone\xe9\xff', '', now() + interval '1 day');
            select session_reaper.link_session(session_key, {user}) from django_session"
        );
        database.batch_execute(&sessions).await.unwrap();
        if paused {
            run(database.url(), &["pause"]).await.assert_done();
            let grow = format!(
                "alter table auth_user alter column id type bigint;
                update auth_user set id = 3000000000 where id = {user}"
            );
            database.batch_execute(&grow).await.unwrap();
            user = 3_000_000_000;
        }
        let change = format!(
            r"begin;
            set local session_reaper.keep_session = E'kept\xe9\xff';
            update auth_user set password = 'new' where id = {user};
            commit"
        );
        if let Err(error) = database.batch_execute(&change).await {
            panic!("{paused}: {error:?}");
        }
        if paused {
            run(database.url(), &["resume"]).await.assert_done();
            let kept = r"select count(*) from session_reaper.revocation r
                where r.keep_digest = encode(sha256('kept\351\377'::bytea), 'hex')";
            assert_eq!(database.number(kept).await, 1);
            continue;
        }
        let left = r"select count(*) from django_session where session_key = E'kept\xe9\xff'";
        assert_eq!(database.number(left).await, 1);
        assert_eq!(
            database.number("select count(*) from django_session").await,
            1
        );
    }
}

/// As after a deployment that writes sessions in another way: those that are linked do not speak for those that are not.
#[tokio::test]
async fn a_single_session_that_can_be_read_does_not_hide_that_the_many_cannot() {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0];
    log_in(&database, user).await;
    for _ in 0..200 {
        open(&database, &data(r#"{"_auth_user_id":{"uuid":"x"}}"#)).await;
    }
    database.migrate().await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    database.sessions_backfilled().await;
    let says = "problem    hardly any session is linked to a user";
    let status = run(database.url(), &["status"]).await;
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains(says), "{}", status.stdout);
    // They were written two days ago, and what is read now can be.
    let past = "update session_reaper.unreadable set first_seen_at = first_seen_at - interval '49 h', last_seen_at = last_seen_at - interval '25 h'";
    database.batch_execute(past).await.unwrap();
    assert_eq!(run(database.url(), &["status"]).await.code, Some(0));
    // A few more are no more than a few, however many there have been.
    open(&database, &data(r#"{"_auth_user_id":{"uuid":"x"}}"#)).await;
    wait_until("it is counted", async || {
        counted(&database, "not_key").await == 201
    })
    .await;
    assert_eq!(run(database.url(), &["status"]).await.code, Some(0));
}

/// A row a day and reason, of which only the last ones are told apart.
#[tokio::test]
async fn what_could_not_be_read_is_counted_by_days_and_old_days_are_one() {
    let database = Database::create().await;
    let count = "select session_reaper.count_unreadable(array['pickled'], array[2::bigint])";
    for _ in 0..10 {
        database.batch_execute(count).await.unwrap();
        let a_day_later = "update session_reaper.unreadable set first_seen_at = first_seen_at - interval '25 h', last_seen_at = last_seen_at - interval '25 h'";
        database.batch_execute(a_day_later).await.unwrap();
    }
    assert_eq!(counted(&database, "pickled").await, 20);
    let rows = "select count(*) from session_reaper.unreadable";
    assert!((2..=4).contains(&database.number(rows).await));
}
