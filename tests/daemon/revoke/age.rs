//! The age rule, from both sides: no survivor (P1) and no bystander (P2).

use session_reaper::demo::site;
use tokio_postgres::IsolationLevel;

use crate::stage::{Database, server_with_two_phase_commit, wait_until};

#[tokio::test]
async fn a_session_opened_after_the_change_stays() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.change_password(user).await;
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 2);
}

/// The login read the old password, and its session appears after the change: by insert time, by a
/// sequence, or by write transactions alone it would be newer.
#[tokio::test]
async fn a_login_that_began_before_the_change_ends_although_it_commits_after_it() {
    for isolation in [
        IsolationLevel::ReadCommitted,
        IsolationLevel::RepeatableRead,
    ] {
        let database = Database::create().await;
        let user = database.users(1).await[0];
        let _daemon = database.daemon().await;
        let mut app = database.connect().await;

        let login = app
            .build_transaction()
            .isolation_level(isolation)
            .start()
            .await
            .unwrap();
        login
            .query("select password from auth_user where id = $1", &[&user])
            .await
            .unwrap();
        database.change_password(user).await;
        wait_until("the first sweep is done", || async {
            database
                .number("select count(*) from session_reaper.revocation where state = 'revoked'")
                .await
                == 1
        })
        .await;
        let sessions = site::log_in(&login, &[user]).await.unwrap();
        login.commit().await.unwrap();
        database.settled().await;

        assert_eq!(database.count(&sessions).await, 0, "{isolation:?}");
    }
}

#[tokio::test]
async fn the_changing_transaction_keeps_the_session_that_it_opens() {
    let mut database = Database::create().await;
    let user = database.users(1).await[0];
    let old = database.log_in(user, 2).await;
    let _daemon = database.daemon().await;

    // Django's PasswordChangeView under ATOMIC_REQUESTS: the user, then the cycled key, in one transaction.
    let transaction = database.client.transaction().await.unwrap();
    site::change_password(&transaction, user).await.unwrap();
    let cycled = site::log_in(&transaction, &[user]).await.unwrap();
    transaction.commit().await.unwrap();
    database.settled().await;

    assert_eq!(database.count(&old).await, 0);
    assert_eq!(database.count(&cycled).await, 1);
}

#[tokio::test]
async fn a_second_change_ends_the_session_that_the_first_one_kept() {
    let mut database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let transaction = database.client.transaction().await.unwrap();
    site::change_password(&transaction, user).await.unwrap();
    let cycled = site::log_in(&transaction, &[user]).await.unwrap();
    transaction.commit().await.unwrap();

    database.change_password(user).await;
    database.settled().await;

    assert_eq!(database.count(&cycled).await, 0);
}

/// Django's check_constraints() issues this statement; a stamp taken then is earlier than the commit, and a login
/// that begins in between would count as newer although it read the old password.
#[tokio::test]
async fn a_stamp_is_taken_at_the_commit_although_constraints_were_made_immediate() {
    for statements in [
        "set constraints all immediate",
        "set constraints all immediate; set constraints all immediate",
    ] {
        let mut database = Database::create().await;
        let user = database.users(1).await[0];
        let _daemon = database.daemon().await;
        let mut app = database.connect().await;

        let change = database.client.transaction().await.unwrap();
        site::change_password(&change, user).await.unwrap();
        change.batch_execute(statements).await.unwrap();
        let login = app.transaction().await.unwrap();
        login
            .query("select password from auth_user where id = $1", &[&user])
            .await
            .unwrap();
        change.commit().await.unwrap();
        let sessions = site::log_in(&login, &[user]).await.unwrap();
        login.commit().await.unwrap();
        database.settled().await;

        assert_eq!(database.count(&sessions).await, 0, "{statements}");
    }
}

/// A bulk reset fires other deferred triggers for a long time after ours.
#[tokio::test]
async fn a_stamp_is_taken_after_all_other_deferred_triggers() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database
        .batch_execute(
            "create table slow (at timestamptz);
            create function be_slow() returns trigger language plpgsql as $$
            begin
                perform pg_sleep(0.2);
                update slow set at = clock_timestamp();
                return null;
            end $$;
            create constraint trigger slow after insert on slow deferrable initially deferred
                for each row execute function be_slow()",
        )
        .await
        .unwrap();

    database
        .batch_execute(&format!(
            "begin; update auth_user set password = 'x' where id = {user}; insert into slow values (null); commit"
        ))
        .await
        .unwrap();

    let late = "select count(*) from session_reaper.change c, slow s where c.at > s.at";
    assert_eq!(database.number(late).await, 1);
}

#[tokio::test]
async fn a_change_in_a_savepoint_counts_if_that_is_released_and_not_if_it_is_rolled_back() {
    for (end, left) in [("release", 0), ("rollback to", 1)] {
        let database = Database::create().await;
        let user = database.users(1).await[0];
        let sessions = database.log_in(user, 1).await;
        let _daemon = database.daemon().await;
        database
            .batch_execute(&format!(
                "begin; savepoint a; update auth_user set password = 'x' where id = {user}; {end} savepoint a; commit"
            ))
            .await
            .unwrap();
        database.settled().await;
        assert_eq!(database.count(&sessions).await, left, "{end}");
    }
}

#[tokio::test]
async fn a_login_is_older_than_a_prepared_change_that_it_could_not_see() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;

    database
        .batch_execute(&format!(
            "begin; update auth_user set password = 'x' where id = {user}; prepare transaction 'change{user}'"
        ))
        .await
        .unwrap();
    let sessions = database.log_in(user, 1).await;
    database
        .batch_execute(&format!("commit prepared 'change{user}'"))
        .await
        .unwrap();
    wait_until("the change is found by polling", || async {
        database
            .number("select count(*) from session_reaper.revocation where state = 'settled'")
            .await
            == 1
    })
    .await;

    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_session_linked_under_an_old_credential_version_is_dead_on_arrival() {
    for served in [true, false] {
        let database = Database::create().await;
        let user = database.users(1).await[0];
        let daemon = if served {
            Some(database.daemon().await)
        } else {
            None
        };
        let read =
            "select password, session_reaper.credential_version(id) from auth_user where id = $1";
        let old: String = database.query_one(read, &[&user]).await.unwrap().get(1);
        database.change_password(user).await;
        if served {
            database.settled().await;
        }
        let new: String = database.query_one(read, &[&user]).await.unwrap().get(1);

        let keys = site::visit(&database.client, 3).await.unwrap();
        for (key, version) in keys.iter().zip([&old, &new, &"rubbish".to_owned()]) {
            let link = "select session_reaper.link_session($1::text::varchar, $2, $3)";
            assert!(
                database
                    .query_one(link, &[key, &user, version])
                    .await
                    .unwrap()
                    .get::<_, bool>(0)
            );
        }
        if served {
            database.settled().await;
        }

        assert_eq!(
            database.count(&keys[..1]).await,
            0,
            "old version, served: {served}"
        );
        assert_eq!(
            database.count(&keys[1..2]).await,
            1,
            "new version, served: {served}"
        );
        assert_eq!(
            database.count(&keys[2..]).await,
            0,
            "unreadable version, served: {served}"
        );
        drop(daemon);
    }
}

/// The view resets the password, the middleware saves the session afterwards.
#[tokio::test]
async fn a_version_that_the_changing_transaction_has_read_afterwards_is_as_new_as_its_change() {
    for later_ends in [false, true] {
        read_in_the_changing_transaction(later_ends).await;
    }
}

async fn read_in_the_changing_transaction(later_ends: bool) {
    let database = Database::create().await;
    let users = database.users(2).await;
    let sessions = site::visit(&database.client, 3).await.unwrap();
    let read = "select session_reaper.credential_version(id) from auth_user where id = $1";
    let mut client = database.connect().await;
    let transaction = client.transaction().await.unwrap();
    // Its number is behind that of one that has not ended.
    let other = database.connect().await;
    let number = "select pg_current_xact_id()";
    other
        .batch_execute(&format!("begin; {number}"))
        .await
        .unwrap();
    let change = "update auth_user set password = 'another' where id = $1";
    transaction.execute(change, &[&users[0]]).await.unwrap();
    if later_ends {
        database.batch_execute(number).await.unwrap();
    }
    let before: String = transaction
        .query_one(read, &[&users[1]])
        .await
        .unwrap()
        .get(0);
    transaction.execute(change, &[&users[1]]).await.unwrap();
    let mut after = Vec::<String>::new();
    for user in &users {
        after.push(transaction.query_one(read, &[user]).await.unwrap().get(0));
    }
    transaction.commit().await.unwrap();

    let versions = [&after[0], &after[1], &before];
    let owners = [&users[0], &users[1], &users[1]];
    for ((session, user), version) in sessions.iter().zip(owners).zip(versions) {
        let link = "select session_reaper.link_session($1::text::varchar, $2, $3)";
        database
            .query(link, &[session, user, version])
            .await
            .unwrap();
    }
    other.batch_execute("commit").await.unwrap();
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions[..2]).await, 2);
    assert_eq!(database.count(&sessions[2..]).await, 0);
}

#[tokio::test]
async fn a_session_that_changes_hands_is_as_young_as_its_new_user() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let key = database.log_in(users[0], 1).await;
    database.change_password(users[1]).await;
    database
        .execute(
            "update session_reaper.user_session set user_id = $1",
            &[&users[1]],
        )
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&key).await, 1);
}
