//! `revoke`, with a daemon and without one.

use serde_json::Value;

use crate::stage::program::{Daemon, run, run_with};
use crate::stage::{Database, wait_until};

#[tokio::test]
async fn a_user_is_revoked_whether_a_daemon_runs_or_not() {
    for with_daemon in [false, true] {
        let database = Database::create().await;
        let users = database.users(2).await;
        let (hers, his) = (
            database.log_in(users[0], 3).await,
            database.log_in(users[1], 1).await,
        );
        let daemon = if with_daemon {
            Some(database.daemon().await)
        } else {
            None
        };

        let ended = run(
            database.url(),
            &["revoke", &users[0].to_string(), "--reason", "stolen phone"],
        )
        .await;

        assert!(
            ended
                .assert_done()
                .starts_with("revocation 1: 3 sessions ended"),
            "{}",
            ended.stdout
        );
        assert_eq!(
            (database.count(&hers).await, database.count(&his).await),
            (0, 1)
        );
        let settled = "select count(*) from session_reaper.revocation where state = 'settled' and reason = 'stolen phone'";
        assert_eq!(database.number(settled).await, 1);
        drop(daemon);
    }
}

#[tokio::test]
async fn everybody_is_revoked_whether_a_daemon_runs_or_not() {
    for with_daemon in [false, true] {
        let database = Database::create().await;
        let users = database.users(5).await;
        let mut sessions = Vec::new();
        for user in &users {
            sessions.extend(database.log_in(*user, 2).await);
        }
        let daemon = if with_daemon {
            Some(database.daemon().await)
        } else {
            None
        };

        let ended = run(database.url(), &["revoke", "--all", "--json"]).await;

        ended.assert_done();
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(
            (&report["sessions"], &report["settled"]),
            (&10.into(), &true.into())
        );
        assert_eq!(report["served"], with_daemon);
        assert_eq!(database.count(&sessions).await, 0);
        drop(daemon);
    }
}

#[tokio::test]
async fn a_revocation_of_everybody_says_how_far_it_is_where_there_is_no_terminal() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 10).await;
    let mut app = database.connect().await;
    let open = app.transaction().await.unwrap();
    open.batch_execute("select 1").await.unwrap();

    let ended = run(
        database.url(),
        &["revoke", "--all", "--wait-s", "6", "--json"],
    )
    .await;

    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines, ["10 of 10 sessions ended, settling"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&report["sessions"], &report["settled"]),
        (&10.into(), &false.into())
    );
}

#[tokio::test]
async fn everybody_is_revoked_however_long_that_takes_longer_than_others_are_waited_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 300).await;
    let settings = [("SESSION_REAPER_REVOKE_BATCH_ROWS", "1")];
    // Three hundred transactions, with rests: seconds.
    let ended = run_with(
        database.url(),
        &["revoke", "--all", "--wait-s", "1"],
        &settings,
    )
    .await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn nobody_cannot_be_revoked() {
    let database = Database::create().await;
    for user in ["nobody", "99999999", "", "1 or true"] {
        let says = format!("there is no user {user}");
        run(database.url(), &["revoke", user])
            .await
            .assert_refused(1, &[&says, "as it stands in the user table"]);
    }
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        0
    );
}

#[tokio::test]
async fn a_transaction_that_stays_open_is_not_waited_for_longer_than_asked_and_the_exit_code_says_so()
 {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let mut app = database.connect().await;
    let open = app.transaction().await.unwrap();
    open.batch_execute("select 1").await.unwrap();
    let revoke = ["revoke", &user.to_string(), "--wait-s", "1"];

    let ended = run(database.url(), &revoke).await;
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.stdout.contains("not settled: ") && ended.stdout.contains("start the daemon"),
        "{}",
        ended.stdout
    );
    assert_eq!(
        database.count(&sessions).await,
        0,
        "what could be ended has ended"
    );

    let _daemon = database.daemon().await;
    let ended = run(database.url(), &revoke).await;
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.stdout.contains("the daemon goes on"),
        "{}",
        ended.stdout
    );
}

/// So that a line of the log leads to rows of the audit trail.
#[tokio::test]
async fn the_daemon_logs_the_numbers_of_what_it_has_revoked_and_settled() {
    let database = Database::create().await;
    let users = database.users(3).await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    database.change_password(users[0]).await;
    database.settled().await;
    database
        .batch_execute("update auth_user set password = 'reset'")
        .await
        .unwrap();
    database.settled().await;
    for message in ["revoked", "settled"] {
        wait_until(&format!("all are logged as {message}"), || async {
            numbers(&daemon, message) == [1, 2, 3, 4]
        })
        .await;
    }
}

/// Those that lines with this message name, alone or as the first and the last of several.
fn numbers(daemon: &Daemon, message: &str) -> Vec<i64> {
    let lines = daemon.lines().into_iter();
    let named = lines.filter(|line| line["message"] == message);
    named
        .flat_map(|line| {
            let field = &line["revocation"];
            let span = field.as_str().unwrap_or_else(|| panic!("{line}"));
            let (first, last) = span.split_once("..").unwrap_or((span, span));
            first.parse().unwrap()..=last.parse().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_rehearsal_says_how_many_end_how_long_that_takes_and_how_many_logins_follow_and_ends_nothing()
 {
    let database = Database::create().await;
    let users = database.users(3).await;
    let mut sessions = database.log_in(users[0], 2).await;
    sessions.extend(database.log_in(users[1], 1).await);
    sessions.extend(database.log_in(users[2], 1).await);
    // This user is not logged in any more.
    let expire =
        "update django_session set expire_date = now() - interval '1 day' where session_key = $1";
    database.execute(expire, &[&sessions[3]]).await.unwrap();
    let small = [("SESSION_REAPER_REVOKE_BATCH_ROWS", "3")];
    let rehearse = ["revoke", "--all", "--rehearse", "--json"];
    let said = run_with(database.url(), &rehearse, &small).await;
    let json: serde_json::Value = serde_json::from_str(said.assert_done()).unwrap();
    assert_eq!((&json["sessions"], &json["logins"]), (&4.into(), &2.into()));
    assert_eq!(json["rehearsed_sessions"], 3);
    // Two pages, and as much rest as work.
    let (one, all) = (json["rehearsed_ms"].as_f64(), json["duration_s"].as_f64());
    assert!(
        (all.unwrap() - one.unwrap() * 4.0 / 1000.0).abs() < 1e-9,
        "{json}"
    );
    assert!(one.unwrap() > 0.0);

    let mut paced = rehearse.to_vec();
    paced.extend(["--per-second", "2"]);
    let said = run_with(database.url(), &paced, &small).await;
    let json: serde_json::Value = serde_json::from_str(said.assert_done()).unwrap();
    assert!(json["duration_s"].as_f64().unwrap() >= 2.0, "{json}");

    let said = run(database.url(), &["revoke", "--all", "--rehearse"]).await;
    let text = said.assert_done();
    for part in [
        "4 sessions would end, in about ",
        "2 logins will follow",
        "nothing has ended",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(database.count(&sessions).await, 4);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.change")
            .await,
        0
    );
    let refused = run(database.url(), &["revoke", "1", "--rehearse"]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
}

/// The logins that follow come as slowly. Nobody is faster: not the request itself, and no replica.
#[tokio::test]
async fn everybodys_sessions_end_at_the_pace_that_was_asked_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 4).await;
    let impatient = ["revoke", "--all", "--per-second", "1", "--wait-s", "0"];
    let asked = run(database.url(), &impatient).await;
    assert_eq!(asked.code, Some(3), "{}{}", asked.stdout, asked.stderr);
    assert_eq!(database.count(&sessions).await, 3);
    let begun = std::time::Instant::now();
    let _daemons = (database.daemon().await, database.daemon().await);
    while database.open_revocations().await > 0 {
        let ended = 3 - database.count(&sessions).await;
        let most = 1.0 + begun.elapsed().as_secs_f64();
        assert!(ended as f64 <= most.ceil(), "{ended} ended within {most} s");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(database.count(&sessions).await, 0);
    assert!(begun.elapsed().as_secs_f64() >= 2.0);

    let sessions = database.log_in(user, 3).await;
    let paced = ["revoke", "--all", "--per-second", "1", "--json"];
    let said = run(database.url(), &paced).await;
    let json: serde_json::Value = serde_json::from_str(said.assert_done()).unwrap();
    assert_eq!(
        (&json["settled"], &json["sessions"]),
        (&true.into(), &3.into())
    );
    assert!(json["duration_s"].as_f64().unwrap() >= 2.0, "{json}");
    assert_eq!(database.count(&sessions).await, 0);
}
