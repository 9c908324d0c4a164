//! A database that was restored from a dump of another server: its transaction ids have begun anew, and those that came
//! along lie in the future.

use session_reaper::demo::site;

use crate::{
    reading::{exists, log_in, read_table},
    stage::{Database, start_server},
};

/// As if everything until a distant transaction had been read.
const READ_ELSEWHERE: &str =
    "update session_reaper.queue_reading set read_to = '900000000:900000000:'";

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
        where session_reaper.may_be_unread(c.xid, c.begun_at, 'infinity', 'others')";
    database.batch_execute(&ask).await.unwrap();
    assert_eq!(database.number(may_be).await, 0, "nothing is unread");
    log_in(&database, user).await;
    assert_eq!(database.number(may_be).await, 1);
    let daemon = database.daemon().await;
    database.settled().await;
    daemon.stop().await;
    let future = "select count(*) from session_reaper.queue_reading q
        where pg_snapshot_xmax(q.read_to) > pg_snapshot_xmax(pg_current_snapshot())";
    assert_eq!(database.number(future).await, 0);
}
