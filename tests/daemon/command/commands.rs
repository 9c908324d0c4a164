//! What the subcommands print, and how they end.

use serde_json::Value;
use session_reaper::demo::site;

use crate::stage::figures::metrics;
use crate::stage::program::{Daemon, Ended, SettingsFile, run, run_with};
use crate::stage::{Database, connect, server, target};

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn every_subcommand_explains_itself_and_its_arguments() {
    let subcommands = [
        ("migrate", vec!["--create-role", "--print", "CREATEROLE"]),
        ("config", vec!["--check", "--json"]),
        ("run", vec!["SIGHUP", "--check"]),
        ("link", vec!["--again", "--json"]),
        ("purge", vec!["--dry-run", "--json"]),
        (
            "revoke",
            vec![
                "[USER]",
                "--by",
                "--all",
                "--rehearse",
                "--per-second",
                "--reason",
                "--wait-s",
                "--json",
            ],
        ),
        (
            "sessions",
            vec!["<USER>", "--by", "--json", "no credential"],
        ),
        (
            "history",
            vec!["[USER]", "--by", "--since", "--most", "--json"],
        ),
        ("explain", vec!["<USER>", "--by", "--most", "--json"]),
        ("pause", vec!["--json", "session-reaper resume"]),
        ("resume", vec!["--json"]),
        ("status", vec!["--json", "--metrics"]),
        ("doctor", vec!["--strict", "--json"]),
        ("policies", vec!["--dry-run", "--json"]),
        ("demo", vec!["--once"]),
        ("uninstall", vec!["--yes", "--dry-run"]),
    ];
    let overview = run("", &["--help"]).await.assert_done().to_owned();
    for (subcommand, arguments) in subcommands {
        assert!(overview.contains(subcommand), "{subcommand} is not listed");
        let ended = run("", &[subcommand, "--help"]).await;
        let help = ended.assert_done();
        for argument in arguments.iter().chain(&["--config", "--site"]) {
            assert!(
                help.contains(argument),
                "{subcommand}: no {argument} in {help}"
            );
        }
    }
    let listed = overview.split("Commands:").nth(1).unwrap();
    let listed = listed.split("\n\n").next().unwrap().lines();
    let listed = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    assert_eq!(
        listed.count(),
        16 + 1,
        "each but `help` is tried above: {overview}"
    );
}

#[tokio::test]
async fn wrong_usage_ends_with_code_2() {
    for arguments in [
        vec![],
        vec!["reap"],
        vec!["revoke"],
        vec!["revoke", "--all", "42"],
        vec!["purge", "--dry"],
    ] {
        let ended = run("", &arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty());
    }
}

#[tokio::test]
async fn status_says_whether_it_is_installed_and_served() {
    let database = Database::create_bare(server()).await;
    run(database.url(), &["status"])
        .await
        .assert_refused(1, &["not installed", "`session-reaper migrate`"]);
    let asked = run(database.url(), &["status", "--metrics"]).await;
    assert_eq!(asked.code, Some(1));
    assert!(asked.stdout.ends_with("session_reaper_served 0\n"));
    assert!(asked.stdout.contains("session_reaper_unknown 1\n"));
    let ended = run(database.url(), &["status", "--json"]).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(json(&ended)["schema_version"], Value::Null);

    let installed = run(database.url(), &["migrate"]).await;
    assert!(
        installed
            .assert_done()
            .contains("trigger    session_reaper_update_password on public.auth_user")
    );
    let ended = run(database.url(), &["status"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stdout
            .contains("served     no: until `session-reaper run` is started")
    );
    assert_eq!(
        json(&run(database.url(), &["status", "--json"]).await)["served"],
        false
    );

    let user = database.users(1).await[0];
    database.log_in(user, 3).await;
    let _daemon = database.daemon().await;
    let ended = run(database.url(), &["status"]).await;
    let text = ended.assert_done();
    for line in [
        "served     yes",
        "linked     3 sessions",
        "pending    0 requested, 0 being settled",
        "last purge ",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let ended = run(database.url(), &["status", "--json"]).await;
    ended.assert_done();
    let status = json(&ended);
    assert_eq!(
        (&status["served"], &status["linked_sessions"]),
        (&true.into(), &3.into())
    );
    let metrics = metrics(&database).await;
    assert_eq!(metrics["session_reaper_served"], 1.0);
    assert_eq!(metrics["session_reaper_linked_sessions"], 3.0);
    assert_eq!(
        metrics["session_reaper_open_revocations{state=\"requested\"}"],
        0.0
    );
}

#[tokio::test]
async fn status_names_the_transaction_that_a_revocation_waits_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.batch_execute("set local application_name = 'nightly report'; select 1")
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    crate::stage::wait_until("it is waited for", || async {
        run(database.url(), &["status"])
            .await
            .stdout
            .contains("waits for  the open transaction of process")
    })
    .await;
    let text = run(database.url(), &["status"]).await.stdout;
    assert!(text.contains("(postgres, nightly report)"), "{text}");
    assert!(
        text.contains("0 requested, 1 being settled; the oldest for"),
        "{text}"
    );
}

#[tokio::test]
async fn purge_counts_first_and_deletes_then() {
    let database = Database::create().await;
    site::abandon(&database.client, 25).await.unwrap();
    assert_eq!(
        run(database.url(), &["purge", "--dry-run"])
            .await
            .assert_done(),
        "25 expired sessions would be deleted\n"
    );
    assert_eq!(
        json(&run(database.url(), &["purge", "--dry-run", "--json"]).await)["expired_sessions"],
        25
    );

    let ended = run(database.url(), &["purge", "--json"]).await;
    ended.assert_done();
    let report = json(&ended);
    assert_eq!(
        (&report["sessions"], &report["taken"]),
        (&25.into(), &false.into())
    );
    let ended = run(database.url(), &["purge"]).await;
    assert!(
        ended
            .assert_done()
            .starts_with("0 expired sessions deleted")
    );
}

#[tokio::test]
async fn one_of_a_thing_is_called_one() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    site::abandon(&database.client, 1).await.unwrap();
    let status = run(database.url(), &["status"]).await.stdout;
    assert!(status.contains("linked     1 session\n"), "{status}");
    let counted = run(database.url(), &["purge", "--dry-run"]).await;
    assert_eq!(
        counted.assert_done(),
        "1 expired session would be deleted\n"
    );
    let purged = run(database.url(), &["purge"]).await;
    assert!(
        purged
            .assert_done()
            .starts_with("1 expired session deleted in 1 batch, ")
    );
    let revoked = run(database.url(), &["revoke", &user.to_string()]).await;
    assert!(
        revoked
            .assert_done()
            .starts_with("revocation 1: 1 session ended in ")
    );
}

/// The server's sockets are not where they usually are, so nothing is there.
#[tokio::test]
async fn where_no_database_is_given_the_error_says_so_and_how_to_give_one() {
    let ended = run("", &["status"]).await;
    ended.assert_refused(1, &["no database was given", "DATABASE_URL", "PGHOST"]);
    let ended = run("postgresql://nobody@127.0.0.1:1/nowhere", &["status"]).await;
    ended.assert_refused(1, &["cannot connect to database nowhere"]);
    assert!(!ended.stderr.contains("no database was given"));
}

#[tokio::test]
async fn migrating_again_says_that_it_is_installed_and_does_nothing() {
    let database = Database::create().await;
    let ended = run(database.url(), &["migrate"]).await;
    let lines: Vec<&str> = ended.assert_done().lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("session-reaper is installed in database test_"));
}

#[tokio::test]
async fn uninstall_asks_first_and_then_leaves_a_site_that_works() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 2).await;
    run(database.url(), &["uninstall"])
        .await
        .assert_refused(2, &["nothing was removed", "--yes"]);

    run(database.url(), &["uninstall", "--yes"])
        .await
        .assert_done();

    let left = "select (select count(*) from pg_namespace where nspname = 'session_reaper')
        + (select count(*) from pg_trigger where tgname ~* 'session_reaper')
        + (select count(*) from pg_constraint where conname ~ 'session_reaper')";
    assert_eq!(database.number(left).await, 0);
    database.change_password(user).await;
    database
        .batch_execute("delete from auth_user")
        .await
        .unwrap();
    assert_eq!(
        database.number("select count(*) from django_session").await,
        2
    );
    // And once more: there is nothing left to remove, which is what was asked for.
    let again = run(database.url(), &["uninstall", "--yes"]).await;
    let again = again.assert_done();
    assert!(
        again.contains("is not installed in") && again.contains("nothing was removed"),
        "{again}"
    );
    run(database.url(), &["migrate"]).await.assert_done();
}

#[tokio::test]
async fn uninstall_beside_a_daemon_is_refused_and_a_schema_that_is_gone_is_complained_about_now_and_then()
 {
    let database = Database::create().await;
    let often = [("SESSION_REAPER_SITE_CHECK_INTERVAL_S", "1")];
    let daemon = Daemon::start_with(database.url(), &[], &often);
    daemon.serves().await;
    run(database.url(), &["uninstall", "--yes"])
        .await
        .assert_refused(1, &["a daemon serves database test_", "stop it first"]);
    assert!(
        run(database.url(), &["status"])
            .await
            .assert_done()
            .contains("served     yes")
    );

    // By other hands.
    database
        .batch_execute("drop schema session_reaper cascade")
        .await
        .unwrap();
    run(database.url(), &["status"])
        .await
        .assert_refused(1, &["not installed"]);
    daemon.says("sessions may not end as they should").await;
    let user = database.users(1).await[0];
    for _ in 0..200 {
        database
            .batch_execute(&format!(
                "notify session_reaper; notify session_reaper, '{user}'"
            ))
            .await
            .unwrap();
    }
    daemon.says("could not note a request by NOTIFY").await;
    let errors = daemon.times("\"ERROR\"");
    assert!(errors < 150, "{errors} lines: {}", daemon.log());
}

/// Whether the cause is a missing variable or a missing file.
#[tokio::test]
async fn run_without_a_database_is_wrong_configuration() {
    for variables in [&[][..], &[("CREDENTIALS_DIRECTORY", "/nonexistent")]] {
        run_with("", &["run"], variables)
            .await
            .assert_refused(2, &["no database was given", "DATABASE_URL", "PGSERVICE"]);
    }
}

#[tokio::test]
async fn run_with_check_reads_the_settings_and_nothing_else() {
    let file = SettingsFile::new("[purge]\nschedule = ''");
    let arguments = ["run", "--check", "--config", file.path()];
    // systemd gives the check before a reload no credentials.
    let nowhere = "";
    assert_eq!(run(nowhere, &arguments).await.assert_done(), "");
    file.write("[purge]\nshedule = ''");
    run(nowhere, &arguments)
        .await
        .assert_refused(2, &["line 2", "`schedule`"]);
}

#[tokio::test]
async fn a_service_of_the_users_file_names_the_database() {
    let database = Database::create().await;
    let entries = database.url().split_once('?').unwrap().1.replace('&', "\n");
    let name = database.name();
    let file = SettingsFile::new(&format!("# ours\n[shop]\n{entries}\ndbname={name}\n"));
    let variables = [("PGSERVICEFILE", file.path()), ("PGSERVICE", "shop")];
    let ended = run_with("", &["status"], &variables).await;
    assert!(
        ended.stdout.starts_with(&format!("database   {name} on ")),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let ended = run_with("service=shop", &["status"], &variables[..1]).await;
    assert!(
        ended.stdout.starts_with(&format!("database   {name} on ")),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    run_with("service=shoop", &["run"], &variables[..1])
        .await
        .assert_refused(2, &["the service \"shoop\" is not defined"]);
}

#[tokio::test]
async fn uninstall_works_when_the_tables_of_the_site_are_gone() {
    let database = Database::create().await;
    database
        .batch_execute("drop table auth_user, django_session cascade")
        .await
        .unwrap();
    run(database.url(), &["uninstall", "--yes"])
        .await
        .assert_done();
    let target = target(database.url());
    assert!(
        session_reaper::schema::installed_version(&connect(database.url()).await)
            .await
            .unwrap()
            .is_none(),
        "{}",
        target.describe()
    );
}
