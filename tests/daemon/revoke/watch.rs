//! Which columns end a user's sessions, and which of the sessions.

use session_reaper::{
    demo::site,
    schema,
    settings::{Event, Policy, Settings, Watched},
};

use crate::stage::{Database, program::run, server};

fn watched(table: Option<&str>, column: &str, on: Event, policy: Policy) -> Watched {
    Watched {
        table: table.map(str::to_owned),
        user_column: table.map(|_| "user_id".to_owned()),
        column: column.to_owned(),
        becomes: None,
        on,
        policy,
        reason: None,
    }
}

async fn migrate(database: &Database, watch: Option<Vec<Watched>>) -> schema::Installed {
    let mut settings = Settings::default();
    settings.site.watch = watch;
    schema::migrate(&database.target(), &settings.site)
        .await
        .unwrap()
}

async fn reasons(database: &Database) -> String {
    let reasons = "select coalesce(string_agg(reason || ' ' || policy, ', ' order by id), '') from session_reaper.revocation";
    database.query_one(reasons, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_deactivation_ends_all_sessions_even_a_kept_one_and_an_activation_ends_none() {
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
    transaction
        .execute("update auth_user set is_active = false", &[])
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(database.count(&sessions).await, 0);

    let sessions = database.log_in(user, 2).await;
    database
        .execute("update auth_user set is_active = true", &[])
        .await
        .unwrap();
    database
        .execute("update auth_user set is_active = is_active", &[])
        .await
        .unwrap();
    assert_eq!(database.count(&sessions).await, 2);
    assert_eq!(reasons(&database).await, "deactivated all");
}

#[tokio::test]
async fn a_second_factor_in_another_table_is_watched_when_it_comes_changes_and_goes() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute(
            "create table mfa_device (id serial primary key, user_id integer, secret text)",
        )
        .await
        .unwrap();
    let watch = [Event::Insert, Event::Update, Event::Delete]
        .map(|event| watched(Some("mfa_device"), "secret", event, Policy::Others));
    migrate(&database, Some(watch.to_vec())).await;
    let users = database.users(2).await;
    let bystander = database.log_in(users[1], 1).await;

    for statement in [
        format!(
            "insert into mfa_device (user_id, secret) values ({}, 'a')",
            users[0]
        ),
        "update mfa_device set secret = 'b'".to_owned(),
        "delete from mfa_device".to_owned(),
    ] {
        let sessions = database.log_in(users[0], 1).await;
        database.batch_execute(&statement).await.unwrap();
        assert_eq!(database.count(&sessions).await, 0, "{statement}");
    }
    // A device of nobody is nobody's business, and the password is not watched here.
    database
        .batch_execute(
            "insert into mfa_device (secret) values ('c'); update auth_user set password = 'x'",
        )
        .await
        .unwrap();

    assert_eq!(database.count(&bystander).await, 1);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        3
    );
}

#[tokio::test]
async fn a_column_that_is_watched_no_more_loses_its_trigger() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;

    let installed = migrate(
        &database,
        Some(vec![watched(None, "password", Event::Update, Policy::None)]),
    )
    .await;
    database.change_password(user).await;

    assert_eq!(installed.detached.len(), 2);
    assert_eq!(database.count(&sessions).await, 1);
    assert_eq!(migrate(&database, None).await.triggers.len(), 2);
    site::change_password(&database.client, user).await.unwrap();
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn two_watches_of_one_column_are_two_triggers() {
    let database = Database::create_bare(server()).await;
    let watch = ["true", "false"].map(|value| Watched {
        becomes: Some(value.to_owned()),
        reason: Some(value.to_owned()),
        ..watched(None, "is_staff", Event::Update, Policy::Others)
    });
    migrate(&database, Some(watch.to_vec())).await;
    assert_eq!(
        migrate(&database, Some(watch.to_vec()))
            .await
            .triggers
            .len(),
        0
    );
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    for value in ["true", "true", "false"] {
        database
            .batch_execute(&format!("update auth_user set is_staff = {value}"))
            .await
            .unwrap();
    }
    assert_eq!(reasons(&database).await, "true others, false others");
}

/// Anything may stand in a column of the app's own: of a value that is no key there is no user whose sessions could end (P8).
#[tokio::test]
async fn a_row_that_names_no_user_asks_for_nothing_and_fails_nothing() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute("create table mfa (owner text, secret text)")
        .await
        .unwrap();
    let watch = [Event::Insert, Event::Update, Event::Delete].map(|event| Watched {
        user_column: Some("owner".to_owned()),
        ..watched(Some("mfa"), "secret", event, Policy::Others)
    });
    migrate(&database, Some(watch.to_vec())).await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    for role in ["origin", "replica"] {
        for owner in ["system", "", "3000000000", "1; drop"] {
            let statements = format!(
                "set session_replication_role = {role};
                insert into mfa values ('{owner}', 'a');
                update mfa set secret = 'b';
                delete from mfa;
                reset session_replication_role"
            );
            if let Err(error) = database.batch_execute(&statements).await {
                panic!("{role}, {owner}: {error:?}");
            }
        }
    }
    assert_eq!(reasons(&database).await, "");
    assert_eq!(database.count(&sessions).await, 1);
    let insert = "insert into mfa values ($1, 'a')";
    database
        .execute(insert, &[&user.to_string()])
        .await
        .unwrap();
    assert_eq!(reasons(&database).await, "secret others");
    assert_eq!(database.count(&sessions).await, 0);
}

/// Nobody can say any more whose it was, which has to be known: `status` has it among the problems.
#[tokio::test]
async fn a_table_whose_user_column_is_gone_can_be_written_and_what_is_missed_is_noted() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute("create table mfa (user_id integer, secret text)")
        .await
        .unwrap();
    let watch = vec![watched(
        Some("mfa"),
        "secret",
        Event::Insert,
        Policy::Others,
    )];
    migrate(&database, Some(watch)).await;
    let statements = "alter table mfa drop column user_id; insert into mfa values ('a'); insert into mfa values ('b')";
    database.batch_execute(statements).await.unwrap();
    let missed =
        "select count(*) from session_reaper.missed where what = 'change' and sqlstate = '42703'";
    assert_eq!(database.number(missed).await, 1);
    let status = run(database.url(), &["status"]).await.stdout;
    assert!(
        status.contains("a change that should have ended sessions has ended none (SQLSTATE 42703"),
        "{status}"
    );
}
