//! Users and sessions whose keys change, come back or are gone while something else is about to happen to them.

use std::time::Duration;

use session_reaper::demo::site;

use crate::stage::{
    Database, begun,
    django::{data, data_of, exists, links, open, read_table, save},
    wait_until,
};

/// Waits until one waits for another.
async fn somebody_waits(database: &Database) {
    wait_until("somebody waits for a lock", async || {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        database.number(waiting).await > 0
    })
    .await;
}

async fn settled_by_a_daemon(database: &Database) {
    let daemon = database.daemon().await;
    database.settled().await;
    daemon.stop().await;
}

fn sign_up_again(user: i32) -> String {
    format!(
        "delete from auth_user where id = {user};
        insert into auth_user (id, username, password, is_superuser, first_name, last_name, email, is_staff, is_active, date_joined)
        values ({user}, 'another', 'p', false, '', '', '', false, true, now())"
    )
}

/// Nobody had read it when its user was deleted, and what is read names a user who is there.
#[tokio::test]
async fn a_session_of_a_deleted_user_ends_though_somebody_else_has_his_key() {
    for at_once in [false, true] {
        let database = Database::create().await;
        read_table(&database).await;
        let users = database.users(2).await;
        let (old, others) = (
            open(&database, &data_of(users[0])).await,
            open(&database, &data_of(users[1])).await,
        );
        let again = sign_up_again(users[0]);
        let statements = if at_once {
            format!("begin; {again}; commit")
        } else {
            again
        };
        database.batch_execute(&statements).await.unwrap();
        let new = open(&database, &data_of(users[0])).await;
        settled_by_a_daemon(&database).await;
        assert!(!exists(&database, &old).await);
        assert!(exists(&database, &new).await);
        assert!(exists(&database, &others).await);
    }
}

/// Its link names whoever was deleted, and its data, which nobody has read yet, do not.
#[tokio::test]
async fn a_session_that_its_user_has_left_does_not_end_with_him() {
    let database = Database::create().await;
    read_table(&database).await;
    let users = database.users(2).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(open(&database, &data_of(users[0])).await);
    }
    // Of this one the app says whose it is, and its data do not.
    sessions.extend(site::visit(&database.client, 1).await.unwrap());
    let link = "select session_reaper.link_session($1::text::varchar, $2)";
    database
        .query(link, &[&sessions[3], &users[0]])
        .await
        .unwrap();
    let daemon = database.daemon().await;
    wait_until("they are linked", async || links(&database).await == 4).await;
    daemon.stop().await;
    // A daemon seems to serve, or the deleting transaction would end them by itself.
    let serving = "select pg_advisory_lock_shared(1397903442, 1)";
    database.batch_execute(serving).await.unwrap();
    save(&database, &sessions[0], &data_of(users[1])).await;
    save(&database, &sessions[1], &data(r#"{"cart":[1]}"#)).await;
    save(&database, &sessions[2], &data_of(users[0])).await;
    save(&database, &sessions[3], &data(r#"{"cart":[2]}"#)).await;
    let delete = "delete from auth_user where id = $1";
    database.execute(delete, &[&users[0]]).await.unwrap();
    settled_by_a_daemon(&database).await;
    assert_eq!(database.count(&sessions[..2]).await, 2);
    assert_eq!(database.count(&sessions[2..]).await, 0);
}

/// Only a deletion ends what is read later; "deleted" is a word that an app may use as well.
#[tokio::test]
async fn a_session_that_is_revoked_alone_takes_no_other_along_whatever_the_reason() {
    let database = Database::create().await;
    read_table(&database).await;
    let user = database.users(1).await[0];
    let linked = database.log_in(user, 1).await;
    let unread = open(&database, &data_of(user)).await;
    let revoke = "select session_reaper.revoke_session($1::text::varchar, 'deleted')";
    database.query(revoke, &[&linked[0]]).await.unwrap();
    settled_by_a_daemon(&database).await;
    assert_eq!(database.count(&linked).await, 0);
    assert!(exists(&database, &unread).await);
}

/// By its old key it could not be found, and without a user nobody would look for it again.
#[tokio::test]
async fn a_session_whose_key_is_changing_ends_with_its_user() {
    let rename = "update django_session set session_key = 'renamed' where session_key = $1";
    for deletes_first in [false, true] {
        let database = Database::create().await;
        read_table(&database).await;
        let user = database.users(1).await[0];
        let session = database.log_in(user, 1).await.remove(0);
        let (first, second) = (
            begun(&database, "begin").await,
            begun(&database, "begin").await,
        );
        let delete = format!("delete from auth_user where id = {user}");
        if deletes_first {
            first.batch_execute(&delete).await.unwrap();
            let renaming =
                tokio::spawn(
                    async move { second.execute(rename, &[&session]).await.map(|_| second) },
                );
            somebody_waits(&database).await;
            first.batch_execute("commit").await.unwrap();
            let second = renaming.await.unwrap().unwrap();
            second.batch_execute("commit").await.unwrap();
        } else {
            first.execute(rename, &[&session]).await.unwrap();
            let deleting =
                tokio::spawn(async move { second.batch_execute(&delete).await.map(|()| second) });
            somebody_waits(&database).await;
            first.batch_execute("commit").await.unwrap();
            let second = deleting.await.unwrap().unwrap();
            second.batch_execute("commit").await.unwrap();
        }
        settled_by_a_daemon(&database).await;
        assert!(!exists(&database, &"renamed".to_owned()).await);
    }
}

#[tokio::test]
async fn a_revocation_follows_a_user_whose_key_changes_before_it_has_committed() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let _daemon = database.daemon().await;
    let (revoking, renaming) = (begun(&database, "begin").await, database.connect().await);
    let revoke = "select session_reaper.revoke_user($1)";
    revoking.query(revoke, &[&user]).await.unwrap();
    let renamed = tokio::spawn(async move {
        let rename = "update auth_user set id = id + 1000 where id = $1";
        renaming.execute(rename, &[&user]).await
    });
    somebody_waits(&database).await;
    revoking.batch_execute("commit").await.unwrap();
    assert_eq!(renamed.await.unwrap().unwrap(), 1);
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// One user gets the key that another one has just given up: that is no login of either.
#[tokio::test]
async fn users_whose_keys_all_move_on_by_one_stay_as_old_as_they_are() {
    let database = Database::create().await;
    let users = database.users(3).await;
    let sessions = site::visit(&database.client, 3).await.unwrap();
    for (session, user) in sessions.iter().zip(&users) {
        let link = "select session_reaper.link_session($1::text::varchar, $2)";
        database.query(link, &[session, user]).await.unwrap();
    }
    let statements = format!(
        "begin;
        delete from auth_user where id = {};
        update auth_user set password = 'new';
        update auth_user set id = id - 1;
        commit",
        users[0]
    );
    database.batch_execute(&statements).await.unwrap();
    assert_eq!(database.count(&sessions).await, 0);
}

/// The links of all users go with their table, in silence.
#[tokio::test]
async fn sessions_are_read_again_after_the_users_were_truncated_and_put_back() {
    let database = Database::create().await;
    read_table(&database).await;
    let user = database.users(1).await[0];
    let session = open(&database, &data_of(user)).await;
    let daemon = database.daemon().await;
    wait_until("it is linked", async || links(&database).await == 1).await;
    daemon.stop().await;
    database
        .batch_execute(
            "begin;
            create temporary table saved as select * from auth_user;
            truncate auth_user cascade;
            insert into auth_user select * from saved;
            commit",
        )
        .await
        .unwrap();
    assert_eq!(links(&database).await, 0);
    database.change_password(user).await;
    settled_by_a_daemon(&database).await;
    assert!(!exists(&database, &session).await);
}

/// Each holds what the other one needs, if the first lock is weaker than the second.
#[tokio::test]
async fn two_who_link_the_same_session_do_not_wait_for_each_other() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let session = site::visit(&database.client, 1).await.unwrap().remove(0);
    let (saving, linking) = (
        begun(&database, "begin").await,
        begun(&database, "begin").await,
    );
    let save =
        "update django_session set expire_date = now() + interval '1 day' where session_key = $1";
    saving.execute(save, &[&session]).await.unwrap();
    let link = "select session_reaper.link_session($1::text::varchar, $2)";
    let key = session.clone();
    let linked = tokio::spawn(async move {
        linking.query(link, &[&key, &user]).await?;
        linking.batch_execute("commit").await
    });
    somebody_waits(&database).await;
    saving.query(link, &[&session, &user]).await.unwrap();
    saving.batch_execute("commit").await.unwrap();
    linked.await.unwrap().unwrap();
}

/// A deadlock would be found after a second, and fail one of them; so would a lock that is never given up.
#[tokio::test]
async fn a_user_is_revoked_while_his_row_is_being_saved() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let saving = begun(&database, "begin").await;
    let save = "update auth_user set last_login = now() where id = $1";
    saving.execute(save, &[&user]).await.unwrap();
    let revoke = "select session_reaper.revoke_user($1)";
    let revoked = tokio::time::timeout(Duration::from_secs(20), async {
        database.query(revoke, &[&user]).await
    });
    assert_eq!(revoked.await.expect("no wait").unwrap().len(), 1);
    saving.batch_execute("commit").await.unwrap();
}
