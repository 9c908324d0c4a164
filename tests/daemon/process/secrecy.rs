//! No output of ours, and no line of the server's log that we cause, holds a secret (P7).

use session_reaper::demo::{server::Server, site};

use crate::stage::program::{Daemon, Ended, run_with};
use crate::stage::{Database, connect, start_server, wait_until};

const PASSWORD: &str = "hunter2-and-then-some";
/// Everything that anybody could switch on.
const LOUD: (&str, &str) = (
    "SESSION_REAPER_LOG_LEVEL",
    "trace,tokio_postgres=trace,tokio_postgres::query=trace,deadpool=trace,rustls=trace,session_reaper=trace",
);

/// A server that logs each statement of the daemon's role with its parameters; the app's are its own affair.
async fn watched_site() -> (Server, Database, String) {
    let server = start_server(&["log_error_verbosity = verbose"]);
    let database = Database::create_on(&server).await;
    database
        .batch_execute(&format!(
            "create role watched superuser login password '{PASSWORD}';
            alter role watched set log_statement = 'all';
            alter role watched set log_parameter_max_length_on_error = -1"
        ))
        .await
        .unwrap();
    let url = server
        .url("")
        .replace("/?", &format!("/{}?", name(&database)));
    let url = url.replace(
        "user=postgres",
        &format!("user=watched&password={PASSWORD}"),
    );
    (server, database, url)
}

fn name(database: &Database) -> &str {
    let (_, rest) = database.url().split_once("///").unwrap();
    rest.split_once('?').unwrap().0
}

#[track_caller]
fn assert_secret(what: &str, text: &str, keys: &[String]) {
    for key in keys {
        if let Some(line) = text.lines().find(|line| line.contains(key.as_str())) {
            panic!("a session key in {what}: {line}");
        }
    }
    if let Some(line) = text.lines().find(|line| line.contains(PASSWORD)) {
        // The server logs the statement that sets the password; that is the test's own.
        assert!(
            line.contains("create role watched"),
            "the password in {what}: {line}"
        );
    }
}

fn said(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

#[tokio::test]
async fn log_lines_are_json_where_nobody_watches() {
    let database = Database::create().await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    let lines = daemon.lines();
    assert!(!lines.is_empty());
    for line in lines {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn no_output_at_any_level_holds_a_session_key_or_the_password() {
    let (server, database, url) = watched_site().await;
    let users = database.users(12).await;
    let keys = site::log_in(&database.client, &users).await.unwrap();
    let small = ("SESSION_REAPER_REVOKE_BATCH_ROWS", "3");
    let grace = ("SESSION_REAPER_REVOKE_WRITE_BACK_GRACE_S", "1");
    let daemon = Daemon::start_with(&url, &[], &[LOUD, small, grace]);
    daemon.serves().await;

    for user in &users[..3] {
        database.change_password(*user).await;
    }
    database
        .batch_execute(&format!("delete from auth_user where id = {}", users[3]))
        .await
        .unwrap();
    let statement = "select session_reaper.revoke_session($1::text::varchar)";
    database.query_one(statement, &[&keys[4]]).await.unwrap();
    // A request by hand that holds a key by mistake, and one that is too long for one.
    for payload in [keys[5].clone(), keys[5].repeat(100)] {
        database
            .execute("select pg_notify('session_reaper', $1)", &[&payload])
            .await
            .unwrap();
    }
    daemon.says_again("name no user", 1).await;
    database.settled().await;
    fail_on(&database, &daemon, &users[6..8]).await;

    let mut output =
        said(&run_with(&url, &["revoke", &users[8].to_string()], &[LOUD, small]).await);
    for arguments in [
        &["revoke", "--all"][..],
        &["status"],
        &["purge"],
        &["migrate"],
        &["revoke", &keys[9]],
    ] {
        output += &said(&run_with(&url, arguments, &[LOUD, small]).await);
    }
    database.settled().await;
    assert_eq!(database.count(&keys).await, 0);
    assert_secret(
        "the commands' output",
        &output.replace(&format!("no user {}", keys[9]), ""),
        &keys,
    );
    assert_secret("the daemon's log", &daemon.log(), &keys);
    assert!(!daemon.log().contains("postgresql://"));
    assert!(
        server.log().contains("session_reaper.revoke_due("),
        "the log shows the daemon's statements"
    );
    // What the site's own trigger quotes is in there, and what somebody hands in is a parameter of ours: both
    // are not of our making.
    let ours = [&keys[..5], &keys[8..9], &keys[10..]].concat();
    assert_secret("the server's log", &server.log(), &ours);
}

/// A trigger of the site refuses to delete the sessions, and quotes their keys as it does.
async fn fail_on(database: &Database, daemon: &Daemon, users: &[i32]) {
    database
        .batch_execute(
            "create function refuse() returns trigger language plpgsql as
                'begin raise exception ''not this one'' using detail = old.session_key; end';
            create trigger refuse before delete on django_session for each row execute function refuse()",
        )
        .await
        .unwrap();
    for user in users {
        database.change_password(*user).await;
    }
    daemon.says("a session cannot be deleted").await;
    database
        .batch_execute("drop trigger refuse on django_session")
        .await
        .unwrap();
    wait_until("they are tried again", || async {
        database.open_revocations().await == 0
    })
    .await;
}

#[tokio::test]
async fn a_refused_password_is_not_repeated() {
    let server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let hba = server.data_dir().join("pg_hba.conf");
    std::fs::write(
        &hba,
        "local all postgres trust\nlocal all all scram-sha-256\n",
    )
    .unwrap();
    connect(database.url())
        .await
        .batch_execute("create role careful login password 'right'; select pg_reload_conf()")
        .await
        .unwrap();
    let url = database.url().replace(
        "user=postgres",
        &format!("user=careful&password={PASSWORD}"),
    );
    wait_until("the server asks for passwords", || async {
        run_with(&url, &["status"], &[])
            .await
            .stderr
            .contains("password authentication failed")
    })
    .await;
    for command in ["run", "migrate", "status", "purge"] {
        let ended = run_with(&url, &[command], &[LOUD]).await;
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.stderr.contains("check the user and the password"),
            "{}",
            ended.stderr
        );
        assert_secret("the refusal", &said(&ended), &[]);
    }
}
