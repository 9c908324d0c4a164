//! From the changed password to the empty session table.

use session_reaper::demo::site;

use crate::stage::{Database, without_polling};

#[tokio::test]
async fn a_password_change_ends_every_session_of_that_user_and_of_nobody_else() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let (hers, his) = (
        database.log_in(users[0], 3).await,
        database.log_in(users[1], 3).await,
    );
    let anonymous = site::visit(&database.client, 3).await.unwrap();
    let _daemon = database.daemon().await;

    database.change_password(users[0]).await;
    database.settled().await;

    assert_eq!(database.count(&hers).await, 0);
    assert_eq!(database.count(&his).await, 3);
    assert_eq!(database.count(&anonymous).await, 3);
    assert_eq!(
        database
            .number("select sessions_ended from session_reaper.revocation")
            .await,
        3
    );
}

#[tokio::test]
async fn a_notification_alone_is_enough() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let _daemon = database.daemon_with(without_polling()).await;

    database.change_password(user).await;
    database.settled().await;

    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn polling_alone_is_enough() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    database
        .batch_execute(
            "create or replace function session_reaper.announce() returns void language sql as ''",
        )
        .await
        .unwrap();
    let mut settings = without_polling();
    settings.listen.poll_interval_s = 1;
    let _daemon = database.daemon_with(settings).await;

    database.change_password(user).await;
    database.settled().await;

    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_save_that_leaves_the_password_alone_ends_nothing() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;

    // Django's save() writes every column.
    database
        .execute(
            "update auth_user set password = password, last_login = now()",
            &[],
        )
        .await
        .unwrap();

    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        0
    );
    assert_eq!(database.count(&sessions).await, 2);
}

#[tokio::test]
async fn a_change_that_rolls_back_ends_nothing() {
    let mut database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon().await;

    let transaction = database.client.transaction().await.unwrap();
    site::change_password(&transaction, user).await.unwrap();
    transaction.rollback().await.unwrap();
    // Another user's change goes through the same workers afterwards: had there been work, it would be done.
    let other = database.users(1).await[0];
    database.change_password(other).await;
    database.settled().await;

    assert_eq!(database.count(&sessions).await, 2);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        1
    );
}

#[tokio::test]
async fn the_session_that_the_app_asked_to_keep_stays_by_its_key_or_its_digest() {
    for value in ["$1", "encode(sha256(convert_to($1, 'UTF8')), 'hex')"] {
        let mut database = Database::create().await;
        let user = database.users(1).await[0];
        let sessions = database.log_in(user, 3).await;
        let _daemon = database.daemon().await;

        let transaction = database.client.transaction().await.unwrap();
        let statement = format!("select set_config('session_reaper.keep_session', {value}, true)");
        transaction
            .execute(&statement, &[&sessions[1]])
            .await
            .unwrap();
        site::change_password(&transaction, user).await.unwrap();
        transaction.commit().await.unwrap();
        database.settled().await;

        assert_eq!(database.count(&sessions[1..2]).await, 1);
        assert_eq!(database.count(&sessions).await, 1);
    }
}

#[tokio::test]
async fn a_rehash_that_the_app_declares_ends_nothing() {
    let mut database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;

    let transaction = database.client.transaction().await.unwrap();
    transaction
        .batch_execute("set local session_reaper.rehash = 'on'")
        .await
        .unwrap();
    site::change_password(&transaction, user).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!(database.count(&sessions).await, 1);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        0
    );
}

#[tokio::test]
async fn deleting_a_user_ends_the_sessions_and_a_vetoed_deletion_ends_none() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let sessions = [
        database.log_in(users[0], 2).await,
        database.log_in(users[1], 2).await,
    ];
    let _daemon = database.daemon().await;
    database
        .batch_execute(&format!(
            "create function veto() returns trigger language plpgsql as 'begin return null; end';
            create trigger veto before delete on auth_user for each row when (old.id = {}) execute function veto()",
            users[1]
        ))
        .await
        .unwrap();

    database
        .execute("delete from auth_user", &[])
        .await
        .unwrap();
    database.settled().await;

    assert_eq!(database.count(&sessions[0]).await, 0);
    assert_eq!(database.count(&sessions[1]).await, 2);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revoked_key")
            .await,
        0
    );
}

#[tokio::test]
async fn a_user_is_revoked_by_hand_through_notify() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let sessions = [
        database.log_in(users[0], 2).await,
        database.log_in(users[1], 2).await,
    ];
    let _daemon = database.daemon_with(without_polling()).await;

    database
        .batch_execute(&format!("notify session_reaper, '{}'", users[0]))
        .await
        .unwrap();
    crate::stage::wait_until("the sessions are gone", || async {
        database.count(&sessions[0]).await == 0
    })
    .await;

    assert_eq!(database.count(&sessions[1]).await, 2);
}

#[tokio::test]
async fn a_payload_that_names_no_user_is_passed_over() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let _daemon = database.daemon_with(without_polling()).await;

    let huge = "9".repeat(7000);
    for payload in [
        "",
        "nobody",
        "99999999",
        "1; drop table auth_user",
        "0b2d6c1e-8a7f-4d5e-9c3b-1a2b3c4d5e6f",
        " ",
        &huge,
    ] {
        database
            .execute("select pg_notify('session_reaper', $1)", &[&payload])
            .await
            .unwrap();
    }
    database
        .batch_execute(&format!("notify session_reaper, '{user}'"))
        .await
        .unwrap();
    crate::stage::wait_until("the valid one is heard", || async {
        database.count(&sessions).await == 0
    })
    .await;

    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        1
    );
}

#[tokio::test]
async fn one_session_everybody_and_an_unlinked_one_can_be_revoked() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let (hers, his) = (
        database.log_in(users[0], 2).await,
        database.log_in(users[1], 2).await,
    );
    let anonymous = site::visit(&database.client, 2).await.unwrap();
    let _daemon = database.daemon().await;

    for key in [&hers[0], &anonymous[0]] {
        let statement = "select session_reaper.revoke_session($1::text::varchar) is not null";
        assert!(
            database
                .query_one(statement, &[key])
                .await
                .unwrap()
                .get::<_, bool>(0)
        );
    }
    database.settled().await;
    assert_eq!(
        (
            database.count(&hers).await,
            database.count(&his).await,
            database.count(&anonymous).await
        ),
        (1, 2, 1)
    );

    database
        .batch_execute("select session_reaper.revoke_all('breach')")
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(
        (
            database.count(&hers).await,
            database.count(&his).await,
            database.count(&anonymous).await
        ),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn a_user_with_more_sessions_than_a_batch_loses_all_of_them() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 25).await;
    let mut settings = without_polling();
    settings.revoke.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;

    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);

    let sessions = database.log_in(user, 25).await;
    database
        .batch_execute("select session_reaper.revoke_all()")
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(
        database
            .number("select sum(sessions_ended)::bigint from session_reaper.revocation")
            .await,
        50
    );
}

#[tokio::test]
async fn no_key_reaches_the_outbox() {
    let mut database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;

    let transaction = database.client.transaction().await.unwrap();
    transaction
        .execute(
            "select set_config('session_reaper.keep_session', $1, true)",
            &[&sessions[0]],
        )
        .await
        .unwrap();
    site::change_password(&transaction, user).await.unwrap();
    transaction.commit().await.unwrap();

    let rows = "select count(*) from session_reaper.revocation r join session_reaper.change c on c.id = r.change_id
        where r::text || c::text like '%' || (select min(session_key) from django_session) || '%'";
    assert_eq!(
        database.count(&sessions).await,
        1,
        "no daemon runs, so the transaction ends the other one itself"
    );
    assert_eq!(database.number(rows).await, 0);
}
