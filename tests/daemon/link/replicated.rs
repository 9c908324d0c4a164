//! Rows that arrive without ordinary triggers: by logical replication, under `session_replication_role = replica`, and by
//! `pg_restore --disable-triggers`. Sessions are read all the same, or nothing settles and it is said (P1).

use std::process::Command;

use session_reaper::{
    demo::server::Server,
    settings::{Settings, Site},
};
use tokio_postgres::Client;

use crate::stage::{
    Database,
    django::{self, data_of, exists},
    program::run,
    server, start_server, wait_until,
};

/// What arrives is found by polling.
fn polling() -> Settings {
    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 1;
    settings
}

/// Writes as what applies a subscription does.
async fn replica(database: &Database) -> Client {
    let client = database.connect().await;
    let role = "set session_replication_role = replica";
    client.batch_execute(role).await.unwrap();
    client
}

async fn arrive(client: &Client, user: i32) -> String {
    let key = format!("{:032x}", fastrand::u128(..));
    let statement = "insert into django_session values ($1, $2, now() + interval '14 days')";
    let data = data_of(user);
    client.execute(statement, &[&key, &data]).await.unwrap();
    key
}

#[tokio::test]
async fn sessions_that_arrive_without_ordinary_triggers_are_read() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let client = replica(&database).await;
    client.batch_execute("begin").await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..8 {
        keys.push(arrive(&client, user).await);
    }
    client.batch_execute("commit").await.unwrap();
    database.change_password(user).await;
    let later = arrive(&client, user).await;
    database.settled().await;
    assert_eq!(database.count(&keys).await, 0);
    assert!(exists(&database, &later).await);
}

/// Where a trigger links by a column, no foreign key would look at the link.
#[tokio::test]
async fn those_whose_user_stands_in_a_column_are_read_too() {
    let database = Database::create_bare(server()).await;
    let column = "alter table django_session add column user_id integer";
    database.batch_execute(column).await.unwrap();
    let mut settings = polling();
    settings.site = Site {
        user_column: Some("user_id".to_owned()),
        data_column: None,
        codec: None,
        ..settings.site
    };
    database.migrate_with(&settings).await;
    let users = database.users(2).await;
    let _daemon = database.daemon_with(settings).await;
    database.sessions_backfilled().await;
    let client = replica(&database).await;
    let mut keys = Vec::new();
    for user in &users {
        let key = arrive(&client, *user).await;
        let statement = "update django_session set user_id = $2 where session_key = $1";
        client.execute(statement, &[&key, user]).await.unwrap();
        keys.push(key);
    }
    database.change_password(users[0]).await;
    database.settled().await;
    assert!(!exists(&database, &keys[0]).await);
    assert!(exists(&database, &keys[1]).await);
}

#[tokio::test]
async fn a_password_that_arrives_so_ends_what_is_older_and_nothing_that_is_newer() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let _daemon = database.daemon_with(polling()).await;
    let old = database.log_in(users[0], 2).await;
    let other = database.log_in(users[1], 1).await;
    let client = replica(&database).await;
    let change = "update auth_user set password = 'another' where id = $1";
    client.execute(change, &[&users[0]]).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&old).await, 0);
    assert_eq!(database.count(&other).await, 1);
    stays_and_is_forgotten(&database, users[0]).await;
}

/// Their stamps were not taken.
#[tokio::test]
async fn what_is_asked_for_so_ends_no_later_login_for_ever() {
    for ask in [
        "revoke_all()",
        "revoke_user((select min(id) from auth_user))",
    ] {
        let database = Database::create().await;
        let user = database.users(1).await[0];
        let _daemon = database.daemon_with(polling()).await;
        let old = database.log_in(user, 1).await;
        let client = replica(&database).await;
        let ask = format!("select session_reaper.{ask}");
        client.batch_execute(&ask).await.unwrap();
        database.settled().await;
        assert_eq!(database.count(&old).await, 0, "{ask}");
        stays_and_is_forgotten(&database, user).await;
    }
}

/// A login comes to stay, and the change is pruned in time.
async fn stays_and_is_forgotten(database: &Database, user: i32) {
    let linked = database.log_in(user, 1).await;
    let read = django::log_in(database, user).await;
    let again = "update session_reaper.revocation set state = 'requested'";
    database.sessions_backfilled().await;
    database.batch_execute(again).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&linked).await, 1);
    assert!(exists(database, &read).await);
    let long_ago = "
        update session_reaper.revocation set settled_at = settled_at - interval '91 days';
        update session_reaper.change set stamps = 3, at = at - interval '91 days'";
    database.batch_execute(long_ago).await.unwrap();
    database.purge().await;
    let left = "select count(*) from session_reaper.change";
    assert_eq!(database.number(left).await, 0);
}

/// The publisher knows nothing of session-reaper.
#[tokio::test]
async fn on_a_logical_subscriber_sessions_end_and_nothing_stops_the_replication() {
    let (publisher, subscriber) = (start_server(&["wal_level = logical"]), start_server(&[]));
    let there = Database::create_bare(&publisher).await;
    let here = Database::create_on(&subscriber).await;
    let _daemon = here.daemon_with(polling()).await;
    let early = there.users(1).await[0];
    let copied = django::log_in(&there, early).await;
    subscribe(
        &publisher,
        &there,
        &here,
        "table auth_user, django_session",
        "",
    )
    .await;
    arrived(&here, &copied).await;
    let user = there.users(1).await[0];
    let (old, left) = (
        django::log_in(&there, user).await,
        django::log_in(&there, user).await,
    );
    arrived(&here, &left).await;
    here.sessions_backfilled().await;
    // The foreign key does not take the link along.
    let log_out = "delete from django_session where session_key = $1";
    there.execute(log_out, &[&left]).await.unwrap();
    there.change_password(early).await;
    there.change_password(user).await;
    let new = django::log_in(&there, user).await;
    arrived(&here, &new).await;
    here.settled().await;
    for ended in [&copied, &old, &left] {
        assert!(!exists(&here, ended).await);
    }
    let gone = "delete from auth_user where id = $1";
    there.execute(gone, &[&user]).await.unwrap();
    wait_until("the sessions of the deleted user end", || async {
        !exists(&here, &new).await
    })
    .await;
    let last = django::log_in(&there, early).await;
    arrived(&here, &last).await;
}

/// As before a blue/green cutover: what session-reaper does over there arrives here, and is not done twice.
#[tokio::test]
async fn where_our_own_tables_are_replicated_too_nothing_stops_the_replication() {
    let (publisher, subscriber) = (start_server(&["wal_level = logical"]), start_server(&[]));
    let there = Database::create_on(&publisher).await;
    let here = Database::create_on(&subscriber).await;
    let copied = " with (copy_data = false)";
    subscribe(&publisher, &there, &here, "all tables", copied).await;
    let serving = there.daemon().await;
    let users = there.users(2).await;
    for _ in 0..3 {
        django::log_in(&there, users[0]).await;
        there.log_in(users[1], 1).await;
        there.change_password(users[0]).await;
        there.settled().await;
    }
    let kept = django::log_in(&there, users[0]).await;
    there.sessions_backfilled().await;
    serving.stop().await;
    let last = there.log_in(users[1], 1).await;
    arrived(&here, &last[0]).await;
    let gone = "drop subscription all_of_it";
    here.batch_execute(gone).await.unwrap();

    let _daemon = here.daemon_with(polling()).await;
    here.settled().await;
    assert!(exists(&here, &kept).await);
    here.change_password(users[0]).await;
    here.change_password(users[1]).await;
    here.settled().await;
    let left = "select count(*) from django_session";
    assert_eq!(here.number(left).await, 0);
}

async fn subscribe(server: &Server, there: &Database, here: &Database, what: &str, with: &str) {
    let publish = format!("create publication all_of_it for {what}");
    there.batch_execute(&publish).await.unwrap();
    let subscribe = format!(
        "create subscription all_of_it connection '{}' publication all_of_it{with}",
        server.tcp_url(there.name())
    );
    here.batch_execute(&subscribe).await.unwrap();
}

async fn arrived(here: &Database, key: &String) {
    wait_until("the session arrives", || exists(here, key)).await;
}

/// Runs one of PostgreSQL's programs.
fn program(name: &str, arguments: &[&str]) {
    let output = Command::new(server().bin_dir().join(name))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
}

#[tokio::test]
async fn after_a_restore_with_disabled_triggers_nothing_settles_until_resume_has_all_sessions_read()
{
    let source = Database::create_bare(server()).await;
    let user = source.users(1).await[0];
    for _ in 0..8 {
        django::log_in(&source, user).await;
    }
    let file = std::env::temp_dir().join(format!("session-reaper-{:x}", fastrand::u64(..)));
    let dump = file.to_str().unwrap();
    program(
        "pg_dump",
        &[
            "--data-only",
            "-Fc",
            "-f",
            dump,
            "-t",
            "django_session",
            source.url(),
        ],
    );

    let database = Database::create().await;
    let users = database.users(1).await;
    let adopted = "update auth_user set id = $1 where id = $2";
    database
        .execute(adopted, &[&user, &users[0]])
        .await
        .unwrap();
    let _daemon = database.daemon_with(polling()).await;
    database.sessions_backfilled().await;
    program(
        "pg_restore",
        &[
            "--data-only",
            "--disable-triggers",
            "-d",
            database.url(),
            dump,
        ],
    );
    std::fs::remove_file(file).unwrap();

    database.change_password(user).await;
    wait_until("it was revoked", || async {
        let revoked = "select count(*) from session_reaper.revocation where state = 'revoked' and attempts > 0";
        database.number(revoked).await == 1
    })
    .await;
    for command in [&["status"][..], &["doctor"], &["link"]] {
        let ended = run(database.url(), command).await;
        assert_ne!(ended.code, Some(0), "{command:?}");
        let said = ended.stdout + &ended.stderr;
        assert!(said.contains("was off for a while"), "{command:?}: {said}");
        assert!(
            said.contains("`session-reaper resume`"),
            "{command:?}: {said}"
        );
    }
    run(database.url(), &["resume"]).await.assert_done();
    database.settled().await;
    let left = "select count(*) from django_session";
    assert_eq!(database.number(left).await, 0);
    assert_eq!(run(database.url(), &["status"]).await.code, Some(0));
}

/// Nobody knows which passwords changed, so that is said.
#[tokio::test]
async fn passwords_that_were_restored_with_disabled_triggers_are_a_problem_until_resume_has_said_so()
 {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    database
        .batch_execute(&format!(
            "alter table auth_user disable trigger all;
            update auth_user set password = 'restored' where id = {user};
            alter table auth_user enable trigger all"
        ))
        .await
        .unwrap();
    let ended = run(database.url(), &["status"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("`session-reaper revoke --all`"),
        "{}",
        ended.stdout
    );
    let resumed = run(database.url(), &["resume"]).await;
    let said = resumed.assert_done();
    assert!(
        said.contains("public.auth_user was without our triggers for a while"),
        "{said}"
    );
    assert_eq!(run(database.url(), &["status"]).await.code, Some(0));
}
