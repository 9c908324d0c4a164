//! Transactions that do not wait for each other in the site's own tables do not come to a deadlock because of our links.

use crate::stage::{Database, wait_until};

const ROUNDS: usize = 12;

/// A user, and sessions of his with these keys, in this order.
async fn user_with(database: &Database, keys: &[&str]) -> i32 {
    let user = database.users(1).await[0];
    for key in keys {
        database
            .batch_execute(&format!(
                "insert into django_session values ('{key}', '', now() + interval '1 day');
                select session_reaper.link_session('{key}', {user})"
            ))
            .await
            .unwrap();
    }
    user
}

/// One transaction ends both sessions of a user, the later one first, while another one does this to the user.
async fn beside_two_logouts(statement: &str) -> (Database, i32) {
    let mut database = Database::create().await;
    let user = user_with(&database, &["a", "b"]).await;
    let other = database.connect().await;
    let pid: i32 = other
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let statement = statement.replace("USER", &user.to_string());

    let leaving = database.client.transaction().await.unwrap();
    let b = "delete from django_session where session_key = 'b'";
    leaving.batch_execute(b).await.unwrap();
    let changed = tokio::spawn(async move { other.batch_execute(&statement).await });
    wait_until("the other transaction waits", || async {
        let waits = "select cardinality(pg_blocking_pids($1)) > 0";
        leaving.query_one(waits, &[&pid]).await.unwrap().get(0)
    })
    .await;
    let a = "delete from django_session where session_key = 'a'";
    leaving.batch_execute(a).await.unwrap();
    leaving.commit().await.unwrap();
    changed.await.unwrap().unwrap();
    (database, user)
}

#[tokio::test]
async fn a_user_who_is_deleted_while_his_sessions_are_ended_one_by_one_is_no_deadlock() {
    let (database, _) = beside_two_logouts("delete from auth_user where id = USER").await;
    let left = "select (select count(*) from auth_user) + (select count(*) from session_reaper.user_session)";
    assert_eq!(database.number(left).await, 0);
}

#[tokio::test]
async fn a_user_whose_key_changes_while_his_sessions_are_ended_one_by_one_is_no_deadlock() {
    let rename = "update auth_user set id = id + 1000 where id = USER";
    let (database, user) = beside_two_logouts(rename).await;
    let renamed = format!("select count(*) from auth_user where id = {user} + 1000");
    assert_eq!(database.number(&renamed).await, 1);
}

/// A link that is let go of and taken again is not lost on the way.
#[tokio::test]
async fn a_logout_that_is_rolled_back_beside_a_deletion_or_another_key_leaves_no_session_behind() {
    for (statement, ends) in [
        ("delete from auth_user where id = USER", ""),
        (
            "update auth_user set id = id + 1000 where id = USER",
            "update auth_user set password = 'x' where id = USER + 1000",
        ),
    ] {
        let mut database = Database::create().await;
        let user = user_with(&database, &["a", "b", "c"]).await;
        let with_user = |text: &str| text.replace("USER", &user.to_string());
        let other = database.connect().await;
        let (statement, ends) = (with_user(statement), with_user(ends));
        let leaving = database.client.transaction().await.unwrap();
        let b = "delete from django_session where session_key = 'b'";
        leaving.batch_execute(b).await.unwrap();
        let changed = tokio::spawn(async move { other.batch_execute(&statement).await });
        wait_until("the other transaction waits", || async {
            let waits = "select exists (
                select from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0 and datname = current_database())";
            leaving.query_one(waits, &[]).await.unwrap().get(0)
        })
        .await;
        leaving.rollback().await.unwrap();
        changed.await.unwrap().unwrap();
        database.batch_execute(&ends).await.unwrap();
        let _daemon = database.daemon().await;
        database.settled().await;
        let left = "select count(*) from django_session";
        assert_eq!(database.number(left).await, 0);
    }
}

/// What `manage.py clearsessions` does, in one statement, whose cascade comes by the links at its end.
#[tokio::test]
async fn sessions_that_are_cleared_while_accounts_are_deleted_are_no_deadlock() {
    let database = Database::create().await;
    for _ in 0..ROUNDS {
        let users = database.users(20).await;
        for _ in 0..3 {
            for user in &users {
                database.log_in(*user, 1).await;
            }
        }
        database
            .batch_execute("update django_session set expire_date = now() - interval '1 day'")
            .await
            .unwrap();
        let (clearing, deleting) = (database.connect().await, database.connect().await);
        let cleared = async {
            let clear = "delete from django_session where expire_date < now()";
            clearing.batch_execute(clear).await
        };
        let deleted = async {
            for user in users.iter().rev() {
                let delete = "delete from auth_user where id = $1";
                deleting.execute(delete, &[user]).await?;
            }
            Ok(())
        };
        tokio::try_join!(cleared, deleted).unwrap();
    }
}
