//! Settings of the site's own that change what the server prints or how it reads: none of them is felt here.

use session_reaper::{demo::site, settings::Settings};
use tokio_postgres::Client;

use crate::stage::{
    Database, connect,
    program::{Daemon, run},
    server, wait_until,
};

/// Each as a database or a role may have it.
const STRANGE: &[&str] = &[
    "quote_all_identifiers = on",
    "datestyle = 'SQL, DMY'",
    "intervalstyle = sql_standard",
    "timezone = 'Asia/Kathmandu'",
    "bytea_output = escape",
    "extra_float_digits = -15",
    "xmlbinary = hex",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "transform_null_equals = on",
    "array_nulls = off",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '200ms'",
    "client_min_messages = debug1",
    "row_security = on",
    "search_path = public",
    "lc_messages = 'C'",
    "synchronous_commit = remote_apply",
];

async fn make_strange(database: &Database) {
    for setting in STRANGE {
        let alter = format!("alter database {} set {setting}", database.name());
        database.batch_execute(&alter).await.unwrap();
    }
}

/// An app without the site's timeouts from its first statement on: `set` itself may last a millisecond.
async fn unhurried_app(database: &Database) -> Client {
    let options = "-c statement_timeout=0 -c lock_timeout=0 \
        -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0";
    let options = options.replace(' ', "%20").replace('=', "%3D");
    connect(&format!("{}&options={options}", database.url())).await
}

/// Installed, checked and served as if none were set; and a session of an app that has them ends.
async fn works(database: &Database) {
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let app = unhurried_app(database).await;
    site::change_password(&app, user).await.unwrap();
    wait_until("the sessions have ended", || async {
        database.count(&sessions).await == 0
    })
    .await;
    database.settled().await;
    let status = run(database.url(), &["status"]).await;
    assert!(
        !status.assert_done().contains("problem"),
        "{}",
        status.stdout
    );
    let doctor = run(database.url(), &["doctor"]).await;
    assert!(
        doctor.assert_done().contains("\n0 fail, "),
        "{}",
        doctor.stdout
    );
    assert_eq!(daemon.times("\"ERROR\""), 0, "{}", daemon.log());
    assert_eq!(daemon.times("was lost"), 0, "{}", daemon.log());
}

#[tokio::test]
async fn a_site_with_strange_settings_is_installed_and_served_like_any_other() {
    let database = Database::create_bare(server()).await;
    make_strange(&database).await;
    run(database.url(), &["migrate"]).await.assert_done();
    works(&database).await;
    let again = run(database.url(), &["migrate"]).await;
    assert_eq!(again.assert_done().lines().count(), 1, "{}", again.stdout);
}

#[tokio::test]
async fn settings_that_come_after_the_installation_are_no_problem_either() {
    let database = Database::create().await;
    make_strange(&database).await;
    works(&database).await;
    for command in ["pause", "resume", "link", "purge"] {
        run(database.url(), &[command]).await.assert_done();
    }
    works(&database).await;
}

/// bytea keys and raw data are told by what the type is, and not by how it is printed.
#[tokio::test]
async fn keys_of_bytes_are_bytes_however_types_are_printed() {
    let database = Database::create_empty(server()).await;
    database
        .batch_execute(
            "create table users (id uuid primary key, password text);
            create table sessions (token bytea primary key, data jsonb, expires timestamptz)",
        )
        .await
        .unwrap();
    make_strange(&database).await;
    let mut settings = Settings::default().site;
    settings.user_table = "users".to_owned();
    settings.session_table = "sessions".to_owned();
    settings.session_key = "token".to_owned();
    settings.data_column = Some("data".to_owned());
    settings.codec = None;
    settings.user_path = Some(vec!["user".to_owned()]);
    settings.expires_column = Some("expires".to_owned());
    session_reaper::schema::migrate(&database.target(), &settings)
        .await
        .unwrap();
    let app = unhurried_app(&database).await;
    app.batch_execute("set standard_conforming_strings = on")
        .await
        .unwrap();
    app.batch_execute(
        "insert into users values ('0b2d6c1e-8a7f-4d5e-9c3b-1a2b3c4d5e6f', 'x');
        insert into sessions values
            ('\\x00ff'::bytea, '{\"user\": \"0b2d6c1e-8a7f-4d5e-9c3b-1a2b3c4d5e6f\"}', 'infinity')",
    )
    .await
    .unwrap();
    let shown = "select digest from session_reaper.live_session";
    let digest: String = database.query_one(shown, &[]).await.unwrap().get(0);
    let own = "select left(encode(sha256('\\x00ff'::bytea), 'hex'), 12)";
    let own: String = database.query_one(own, &[]).await.unwrap().get(0);
    assert_eq!(digest, own);
}

/// Triggers and cascades of what the daemon deletes have to fire.
#[tokio::test]
async fn a_daemon_whose_deletions_fire_no_trigger_is_refused() {
    let database = Database::create().await;
    let url = format!(
        "{}&options=-c%20session_replication_role%3Dreplica",
        database.url()
    );
    run(&url, &["run"])
        .await
        .assert_command_failed(&["session_replication_role is replica on this connection"]);
}
