//! What breaks while the daemon runs: it complains in a line, goes on, and works again after the repair.

use session_reaper::demo::site;

use crate::stage::{
    Database,
    program::{Daemon, run, run_with},
    wait_until,
};

/// Lets a user change the password, and waits until that user's sessions have ended.
async fn works(database: &Database) {
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    database.change_password(user).await;
    wait_until("the sessions have ended", || async {
        database.count(&sessions).await == 0
    })
    .await;
    database.settled().await;
}

/// Each complaint is one line with the reason in it.
#[track_caller]
fn assert_complains_in_lines(daemon: &Daemon, reason: &str) {
    let about = |line: &serde_json::Value| {
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains(reason))
    };
    let lines = daemon.lines();
    let mut complaints = lines.iter().filter(|line| about(line)).peekable();
    assert!(complaints.peek().is_some(), "{}", daemon.log());
    for complaint in complaints {
        assert_eq!(complaint["level"], "ERROR", "{complaint}");
        assert!(!complaint.to_string().contains("\\n"), "{complaint}");
    }
}

#[tokio::test]
async fn a_session_table_that_is_renamed_for_a_while_is_complained_about_and_then_used_again() {
    let database = Database::create().await;
    let daemon = Daemon::start_with(
        database.url(),
        &[],
        &[("SESSION_REAPER_PURGE_SCHEDULE", "* * * * * *")],
    );
    daemon.serves().await;
    works(&database).await;

    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    database
        .batch_execute("alter table django_session rename to away")
        .await
        .unwrap();
    database.change_password(user).await;
    daemon
        .says("could not revoke; this one waits, the others go on")
        .await;
    daemon.says("could not purge; trying again").await;
    assert_complains_in_lines(
        &daemon,
        "does not exist; check the [site] settings and run `session-reaper migrate`",
    );

    database
        .batch_execute("alter table away rename to django_session")
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    works(&database).await;
    let expired = site::abandon(&database.client, 3).await.unwrap();
    wait_until("they are purged", || async {
        database.count(&expired).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_session_table_that_is_dropped_and_made_anew_is_served_again_after_migrate() {
    let database = Database::create().await;
    let daemon = Daemon::start(database.url());
    daemon.serves().await;
    let user = database.users(1).await[0];
    database.log_in(user, 2).await;
    database
        .batch_execute("drop table django_session cascade")
        .await
        .unwrap();
    database.change_password(user).await;
    daemon.says("could not revoke; this one waits").await;

    database
        .batch_execute(
            "create table django_session (
                session_key varchar(40) primary key, session_data text not null, expire_date timestamptz not null)",
        )
        .await
        .unwrap();
    run(database.url(), &["run"])
        .await
        .assert_command_failed(&["created anew", "run `session-reaper migrate`"]);
    let mended = run(database.url(), &["migrate"]).await;
    let mended = mended.assert_done();
    assert!(
        mended.contains("reference  user_session_of_session to public.django_session"),
        "{mended}"
    );
    database.settled().await;
    works(&database).await;
    assert_eq!(
        database
            .number("select count(*) from session_reaper.user_session")
            .await,
        0
    );
}

#[tokio::test]
async fn a_right_that_is_revoked_for_a_while_is_complained_about_and_then_used_again() {
    let database = Database::create().await;
    let role = format!("daemon_{:08x}", fastrand::u32(..));
    database
        .batch_execute(&format!("create role {role} login"))
        .await
        .unwrap();
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    run_with(
        database.url(),
        &["migrate"],
        &[("SESSION_REAPER_SITE_DAEMON_ROLE", &role)],
    )
    .await
    .assert_done();
    let daemon = Daemon::start(&url);
    daemon.serves().await;
    works(&database).await;

    let rights = "execute on function session_reaper.claim_due(integer),
        session_reaper.revoke_due(integer, integer, boolean, boolean, boolean)";
    database
        .batch_execute(&format!("revoke {rights} from {role}"))
        .await
        .unwrap();
    let user = database.users(1).await[0];
    database.log_in(user, 2).await;
    database.change_password(user).await;
    daemon.says("could not revoke; trying again").await;
    assert_complains_in_lines(
        &daemon,
        "permission denied for function claim_due; connect as the role that owns the tables, or as the one that it named in site.daemon_role",
    );

    database
        .batch_execute(&format!("grant {rights} to {role}"))
        .await
        .unwrap();
    works(&database).await;
}
