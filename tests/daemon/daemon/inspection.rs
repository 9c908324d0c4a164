//! A migration of the site's, or a person, takes along what the daemon needs, while it runs: it says so, goes on, and
//! says when that was mended.

use serde_json::Value;

use crate::stage::{
    Database,
    program::{Daemon, run},
    wait_until,
};

const LOUD: &str = "sessions may not end as they should";
const MENDED: &str = "in place again";

/// A daemon that looks every second.
async fn watchful(database: &Database) -> Daemon {
    let variables = [("SESSION_REAPER_SITE_CHECK_INTERVAL_S", "1")];
    let daemon = Daemon::start_with(database.url(), &[], &variables);
    daemon.serves().await;
    daemon
}

async fn status(database: &Database) -> (Option<i32>, String) {
    let ended = run(database.url(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    (ended.code, status["problems"].to_string())
}

/// What is done, what the daemon says to it, and the command that mends it.
async fn is_noticed(harms: &[(&str, &str, &str)]) {
    let database = Database::create().await;
    let signing_up = "
        insert into auth_user (username, password, is_superuser, first_name, last_name, email, is_staff, is_active, date_joined)
        values ('ann', 'old', false, '', '', '', false, true, now())";
    let daemon = watchful(&database).await;
    assert_eq!(status(&database).await, (Some(0), "[]".to_owned()));
    let mut said = 0;
    for (count, (harm, says, mend)) in harms.iter().enumerate() {
        database.batch_execute(harm).await.unwrap();
        daemon.says_again(LOUD, said).await;
        // A look that was under way while the harm was done may have seen a part of it, and is told of first.
        let last_line = || {
            daemon
                .lines()
                .into_iter()
                .rfind(|line| line["message"] == LOUD)
        };
        let names_it = |line: &Value| {
            line["fault"]
                .as_str()
                .is_some_and(|fault| fault.contains(says))
        };
        wait_until(says, || async {
            last_line().is_some_and(|line| names_it(&line))
        })
        .await;
        said = daemon.times(LOUD);
        let line = last_line().unwrap();
        let fault = line["fault"].as_str().unwrap();
        let advice = format!("`session-reaper {mend}`");
        assert!(fault.contains(&advice), "{harm}: {fault}");
        assert_eq!(line["level"], "ERROR");

        let (code, problems) = status(&database).await;
        assert_eq!(code, Some(1), "{harm}");
        assert!(problems.contains(says), "{harm}: {problems}");
        let text = run(database.url(), &["status"]).await.stdout;
        assert!(text.contains("problem    "), "{harm}: {text}");

        // Some looks later it has not been said again.
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        assert_eq!(daemon.times(LOUD), said, "{harm}: {}", daemon.log());

        run(database.url(), &[mend]).await.assert_done();
        daemon.says_again(MENDED, count).await;
        assert_eq!(
            status(&database).await,
            (Some(0), "[]".to_owned()),
            "{harm}"
        );
    }
    // Each in a transaction of its own, or the change would spare the session.
    for statement in [
        signing_up,
        "insert into django_session values ('one', 'data', now() + interval '1 day')",
        "select session_reaper.link_session('one', id) from auth_user",
        "update auth_user set password = 'new'",
    ] {
        database.batch_execute(statement).await.unwrap();
    }
    database.settled().await;
    assert_eq!(
        database.number("select count(*) from django_session").await,
        0
    );
}

#[tokio::test]
async fn a_trigger_that_is_dropped_disabled_or_replaced_under_a_running_daemon_is_noticed() {
    is_noticed(&[
        (
            "drop trigger session_reaper_update_password on auth_user",
            "session_reaper_update_password on public.auth_user is missing",
            "migrate",
        ),
        (
            "alter table auth_user disable trigger \"A_session_reaper_user_deleted\"",
            "A_session_reaper_user_deleted on public.auth_user is missing, disabled",
            "migrate",
        ),
        (
            // Keeps the comment, and with it the mark of ours.
            "create or replace trigger session_reaper_update_password after update on auth_user
             for each row when (false) execute function session_reaper.credential_changed('password', 'others')",
            "session_reaper_update_password on public.auth_user is missing, disabled or not ours",
            "migrate",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_foreign_key_that_is_dropped_or_disabled_under_a_running_daemon_is_noticed() {
    is_noticed(&[
        (
            "alter table session_reaper.user_session drop constraint user_session_of_user",
            "does not refer to public.auth_user",
            "migrate",
        ),
        (
            "alter table django_session disable trigger all",
            "does not refer to public.django_session",
            "migrate",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_table_that_is_created_anew_under_a_running_daemon_is_noticed() {
    is_noticed(&[(
        "create table fresh (like django_session including all);
        drop table django_session cascade;
        alter table fresh rename to django_session",
        "does not refer to public.django_session, which seems to have been created anew",
        "migrate",
    )])
    .await;
}

#[tokio::test]
async fn a_key_whose_type_no_longer_fits_is_noticed() {
    is_noticed(&[(
        "create table fresh (like auth_user including all);
        alter table fresh alter column id type bigint;
        drop table auth_user cascade;
        alter table fresh rename to auth_user",
        "public.auth_user.id is of type bigint now, and our keys are still integer",
        "resume",
    )])
    .await;
}

#[tokio::test]
async fn a_table_that_is_gone_is_noticed_and_the_daemon_goes_on() {
    let database = Database::create().await;
    let daemon = watchful(&database).await;
    database
        .batch_execute("alter table auth_user rename to gone")
        .await
        .unwrap();
    daemon.says("auth_user, which does not exist").await;
    database
        .batch_execute("alter table gone rename to auth_user")
        .await
        .unwrap();
    daemon.says(MENDED).await;
    wait_until("it still serves", || async {
        database.daemons().await == 1
    })
    .await;
}
