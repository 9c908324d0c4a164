//! Credential versions that were read on another server than the one where the session is linked (P1).

use session_reaper::demo::{
    server::{Server, Shutdown},
    site,
};
use tokio_postgres::Client;

use crate::stage::{
    Database, connect,
    standby::{promote, replicated},
    start_server, wait_until,
};

/// Links a session, and hands back what was read.
async fn link(client: &Client, key: &str, user: i32, version: &str) {
    client
        .execute(
            "select session_reaper.link_session($1::text::varchar, $2, $3)",
            &[&key, &user, &version],
        )
        .await
        .unwrap();
}

async fn version(client: &Client, user: i32) -> String {
    client
        .query_one(
            "select session_reaper.credential_version(id) from auth_user where id = $1",
            &[&user],
        )
        .await
        .unwrap()
        .get(0)
}

/// Ids of transactions in flight come before and behind those that a standby has seen end.
async fn use_up_transactions(client: &Client, count: usize) {
    for _ in 0..count {
        client
            .batch_execute("select pg_current_xact_id()")
            .await
            .unwrap();
    }
}

/// In recovery PostgreSQL lists no running transaction in a snapshot.
#[tokio::test]
async fn a_version_read_on_a_standby_has_not_seen_a_change_that_was_in_flight() {
    let primary = start_server(&[]);
    let database = Database::create_on(&primary).await;
    let standby = primary.standby().unwrap();
    let reader = connect(&standby.url(database.name())).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;

    let mut app = database.connect().await;
    let change = app.transaction().await.unwrap();
    change
        .execute(
            "update auth_user set password = 'new' where id = $1",
            &[&user],
        )
        .await
        .unwrap();
    use_up_transactions(&database.client, 3).await;
    replicated(&database.client, &reader).await;
    let old = version(&reader, user).await;
    change.commit().await.unwrap();
    database.settled().await;

    let keys = site::visit(&database.client, 2).await.unwrap();
    link(&database.client, &keys[0], user, &old).await;
    wait_until("the session under the old version ends", || async {
        database.count(&keys[..1]).await == 0
    })
    .await;

    replicated(&database.client, &reader).await;
    let new = version(&reader, user).await;
    link(&database.client, &keys[1], user, &new).await;
    database.settled().await;
    assert_eq!(
        database.count(&keys[1..]).await,
        1,
        "read after the change: {new}"
    );
}

/// What the lost primary counted up to says nothing about the ids of the new one.
#[tokio::test]
async fn a_version_read_on_a_primary_that_was_lost_has_seen_no_change_of_the_new_one() {
    let mut primary = start_server(&[]);
    let mut database = Database::create_on(&primary).await;
    let standby = primary.standby().unwrap();
    let successor = connect(&standby.url(database.name())).await;
    let user = database.users(1).await[0];
    replicated(&database.client, &successor).await;
    let old = lose(&mut primary, &database.client, user, &successor).await;
    database.client = successor;

    database.change_password(user).await;
    let keys = site::visit(&database.client, 2).await.unwrap();
    link(&database.client, &keys[0], user, &old).await;
    assert_eq!(
        database.count(&keys[..1]).await,
        0,
        "no daemon serves: it ends at once"
    );
    let new = version(&database.client, user).await;
    link(&database.client, &keys[1], user, &new).await;
    assert_eq!(
        database.count(&keys[1..]).await,
        1,
        "read after the change: {new}"
    );
}

/// Asynchronous replication: the last transactions never arrive.
async fn lose(primary: &mut Server, client: &Client, user: i32, successor: &Client) -> String {
    successor
        .batch_execute("alter system set primary_conninfo = ''")
        .await
        .unwrap();
    successor
        .batch_execute("select pg_reload_conf()")
        .await
        .unwrap();
    wait_until("the standby receives no more", || async {
        let receivers = "select count(*) from pg_stat_get_wal_receiver() r where r.pid is not null";
        let row = successor.query_one(receivers, &[]).await.unwrap();
        row.get::<_, i64>(0) == 0
    })
    .await;
    use_up_transactions(client, 50).await;
    let old = version(client, user).await;
    primary.stop(Shutdown::Immediate).unwrap();
    promote(successor).await;
    old
}

/// A dump brings the tables to a server whose ids are others.
#[tokio::test]
async fn a_version_from_another_server_has_seen_nothing() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.change_password(user).await;
    let read = version(&database.client, user).await;
    let (_, seen) = read.split_once('/').unwrap();
    let keys = site::visit(&database.client, 2).await.unwrap();
    let elsewhere = format!("1234567890123456789.1/{seen}");
    link(&database.client, &keys[0], user, &elsewhere).await;
    link(&database.client, &keys[1], user, &read).await;
    assert_eq!(database.count(&keys[..1]).await, 0);
    assert_eq!(database.count(&keys[1..]).await, 1);
}
