//! Stores that give a session another key, as Spring Session does after a login: what is known of it goes along.

use crate::stage::{
    Database,
    django::{data_of, exists, open, queued, read_table},
    start_server, wait_until,
};

async fn rename(database: &Database, from: &str, to: &str) {
    let statement = "update django_session set session_key = $2 where session_key = $1";
    let renamed = database.execute(statement, &[&from, &to]).await.unwrap();
    assert_eq!(renamed, 1);
}

/// Changing the key after a change of password is what is recommended.
#[tokio::test]
async fn a_session_that_the_app_asked_to_keep_is_kept_under_its_new_key() {
    for by_digest in [false, true] {
        let mut database = Database::create().await;
        let user = database.users(1).await[0];
        let sessions = database.log_in(user, 2).await;
        let _daemon = database.daemon().await;
        let mut other = database.connect().await;
        // Holds the revocation open.
        let reader = other.transaction().await.unwrap();
        reader.query("select 1", &[]).await.unwrap();
        let keep = if by_digest {
            "select set_config('session_reaper.keep_session', encode(sha256($1::text::bytea), 'hex'), true)"
        } else {
            "select set_config('session_reaper.keep_session', $1, true)"
        };
        let change = database.client.transaction().await.unwrap();
        change.execute(keep, &[&sessions[0]]).await.unwrap();
        change
            .execute(
                "update auth_user set password = 'new' where id = $1",
                &[&user],
            )
            .await
            .unwrap();
        change.commit().await.unwrap();
        wait_until("the other one is gone", async || {
            !exists(&database, &sessions[1]).await
        })
        .await;
        rename(&database, &sessions[0], "rotated").await;
        rename(&database, "rotated", "again").await;
        reader.commit().await.unwrap();
        database.settled().await;
        assert!(exists(&database, &"again".to_owned()).await);
    }
}

#[tokio::test]
async fn a_session_that_is_renamed_before_it_was_read_is_read_and_ends_and_a_newer_one_stays() {
    let database = Database::create().await;
    read_table(&database).await;
    let user = database.users(1).await[0];
    let old = open(&database, &data_of(user)).await;
    rename(&database, &old, "old").await;
    database.change_password(user).await;
    let new = open(&database, &data_of(user)).await;
    rename(&database, &new, "new").await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(!exists(&database, &"old".to_owned()).await);
    assert!(exists(&database, &"new".to_owned()).await);
}

/// Looking through all of a long queue would cost whoever renames more than it is worth.
#[tokio::test]
async fn one_that_is_renamed_behind_a_long_queue_counts_as_older() {
    let database = Database::create().await;
    read_table(&database).await;
    let user = database.users(1).await[0];
    database
        .batch_execute(
            "insert into session_reaper.pending_link (session_key, was_there)
             select md5(n::text), false from generate_series(1, 10000) n",
        )
        .await
        .unwrap();
    let session = open(&database, &data_of(user)).await;
    rename(&database, &session, "renamed").await;
    assert_eq!(queued(&database).await, 10_002);
    database.change_password(user).await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(!exists(&database, &"renamed".to_owned()).await);
}

/// It may have been given a key that the reading of the table has passed already.
#[tokio::test]
async fn one_that_is_renamed_while_the_table_is_being_read_is_read_once_more() {
    let database = Database::create_bare(crate::stage::server()).await;
    let user = database.users(1).await[0];
    let session = open(&database, &data_of(user)).await;
    database.migrate().await;
    assert_eq!(queued(&database).await, 0);
    rename(&database, &session, "0").await;
    assert_eq!(queued(&database).await, 1);
    // As if it had been.
    read_table(&database).await;
    database.change_password(user).await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(!exists(&database, &"0".to_owned()).await);
}

/// A session that was deleted where no foreign key fires has left its link behind, which is in nobody's way (P8), and its key
/// stays out of the server's log (P7).
#[tokio::test]
async fn a_session_may_get_the_key_of_a_link_whose_session_is_gone() {
    let server = start_server(&[]);
    for role in ["origin", "replica"] {
        let database = Database::create_on(&server).await;
        let users = database.users(2).await;
        let session = database.log_in(users[0], 1).await.remove(0);
        let gone = database.log_in(users[1], 1).await.remove(0);
        database
            .batch_execute("set session_replication_role = replica")
            .await
            .unwrap();
        let delete = "delete from django_session where session_key = $1";
        database.execute(delete, &[&gone]).await.unwrap();
        database
            .batch_execute(&format!("set session_replication_role = {role}"))
            .await
            .unwrap();
        let links = "select count(*) from session_reaper.user_session";
        assert_eq!(database.number(links).await, 2);
        rename(&database, &session, &gone).await;
        database
            .batch_execute("reset session_replication_role")
            .await
            .unwrap();
        assert_eq!(database.number(links).await, 1);
        // Of whose key it has nothing is left.
        database.change_password(users[1]).await;
        assert!(exists(&database, &gone).await);
        database.change_password(users[0]).await;
        assert!(!exists(&database, &gone).await);
        assert!(!server.log().contains(&gone), "{}", server.log());
    }
}
