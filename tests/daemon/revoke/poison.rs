//! One revocation that the database refuses to carry out holds up no other (P8), and is not forgotten (P3).

use session_reaper::{demo::site, settings::Settings, status};
use tokio_postgres::GenericClient;

use crate::stage::{Database, wait_until};

/// What a site's own trigger, or a foreign key of another app's table, can do to a session's deletion. The key in
/// the message is what must not reach a log.
async fn forbid_to_delete(client: &impl GenericClient, session: &str) {
    client
        .batch_execute(&format!(
            "create function forbid() returns trigger language plpgsql as $$
            begin
                raise exception 'session % is precious', old.session_key;
            end $$;
            create trigger forbid before delete on django_session for each row
                when (old.session_key = '{session}') execute function forbid()"
        ))
        .await
        .unwrap();
}

async fn allow_again(database: &Database) {
    database
        .batch_execute("drop trigger forbid on django_session")
        .await
        .unwrap();
}

async fn open_with_error(database: &Database) -> i64 {
    database
        .number(
            "select count(*) from session_reaper.revocation where state <> 'settled' and last_error = 'P0001'",
        )
        .await
}

async fn all_but_one_are_settled(database: &Database) {
    wait_until("all revocations but one are settled", || async {
        database.open_revocations().await == 1 && open_with_error(database).await == 1
    })
    .await;
}

#[tokio::test]
async fn a_session_that_cannot_be_deleted_holds_up_neither_others_nor_those_of_its_own_user() {
    let database = Database::create().await;
    let users = database.users(20).await;
    let mut sessions = site::log_in(&database.client, &[users.clone(), users.clone()].concat())
        .await
        .unwrap();
    let precious = sessions.remove(7);
    forbid_to_delete(&database.client, &precious).await;
    let _daemon = database.daemon().await;

    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    all_but_one_are_settled(&database).await;
    assert_eq!(database.count(&sessions).await, 0);
    let status = status::read(&database.client, None).await.unwrap();
    assert_eq!(status.failing, 1);

    // Who changes a password afterwards does not wait either.
    let late = database.log_in(users[0], 1).await;
    database.change_password(users[0]).await;
    all_but_one_are_settled(&database).await;
    assert_eq!(database.count(&late).await, 0);

    assert_eq!(database.count(std::slice::from_ref(&precious)).await, 1);
    allow_again(&database).await;
    database.settled().await;
    assert_eq!(database.count(&[precious]).await, 0);
    let status = status::read(&database.client, None).await.unwrap();
    assert_eq!(status.failing, 0);
}

/// It appears when the sweep is over: only settling meets it.
#[tokio::test]
async fn a_late_session_that_cannot_be_deleted_does_not_keep_others_from_settling() {
    let database = Database::create().await;
    let users = database.users(3).await;
    let _daemon = database.daemon().await;
    let mut app = database.connect().await;
    let login = app.transaction().await.unwrap();
    login.query("select 1 from auth_user", &[]).await.unwrap();
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    wait_until("it is swept", || async {
        database
            .number("select count(*) from session_reaper.revocation where state = 'revoked'")
            .await
            == 3
    })
    .await;
    let late = site::log_in(&login, &users).await.unwrap();
    forbid_to_delete(&login, &late[0]).await;
    login.commit().await.unwrap();

    all_but_one_are_settled(&database).await;
    assert_eq!(database.count(&late).await, 1);
    allow_again(&database).await;
    database.settled().await;
    assert_eq!(database.count(&late).await, 0);
}

#[tokio::test]
async fn the_breach_switch_ends_everything_but_what_cannot_be_deleted() {
    let database = Database::create().await;
    let users = database.users(50).await;
    let mut sessions = site::log_in(&database.client, &users).await.unwrap();
    let precious = sessions.remove(25);
    forbid_to_delete(&database.client, &precious).await;
    let mut settings = Settings::default();
    settings.revoke.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;

    database
        .execute("select session_reaper.revoke_all()", &[])
        .await
        .unwrap();
    wait_until("all sessions but one are gone", || async {
        database.count(&sessions).await == 0
    })
    .await;
    allow_again(&database).await;
    database.settled().await;
    assert_eq!(database.count(&[precious]).await, 0);
}

/// Nobody serves: the user's password changes all the same, and the rest is left to the daemon.
#[tokio::test]
async fn a_session_that_cannot_be_deleted_does_not_fail_the_change_of_the_password() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 3).await;
    forbid_to_delete(&database.client, &sessions[1]).await;
    database.change_password(user).await;
    assert_eq!(database.count(&sessions).await, 1);

    allow_again(&database).await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// A deferred trigger objects when everything is done: the whole transaction fails, and is done again one by one.
#[tokio::test]
async fn an_objection_at_the_commit_postpones_the_culprit_alone() {
    let database = Database::create().await;
    let users = database.users(5).await;
    let mut sessions = site::log_in(&database.client, &users).await.unwrap();
    let precious = sessions.remove(2);
    database
        .batch_execute(&format!(
            "create function forbid() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
            create constraint trigger forbid after delete on django_session deferrable initially deferred
                for each row when (old.session_key = '{precious}') execute function forbid()"
        ))
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    all_but_one_are_settled(&database).await;
    assert_eq!(database.count(&sessions).await, 0);
    allow_again(&database).await;
    database
        .execute(
            "update session_reaper.revocation set next_attempt_at = '-infinity'",
            &[],
        )
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&[precious]).await, 0);
}

/// The database refuses to mark one of them, which fails the whole batch: what follows it is done at once, too.
#[tokio::test]
async fn a_batch_that_has_to_be_taken_apart_does_not_keep_the_next_one_waiting() {
    let database = Database::create().await;
    let users = database.users(30).await;
    site::log_in(&database.client, &users).await.unwrap();
    database
        .batch_execute(&format!(
            "create function forbid() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
            create trigger forbid before update on session_reaper.revocation for each row
                when (new.state = 'revoked' and new.user_id = {}) execute function forbid()",
            users[4]
        ))
        .await
        .unwrap();
    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 3600;
    settings.revoke.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;

    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    all_but_one_are_settled(&database).await;
}
