//! It fails where none works, says so, and does no harm.

use super::{doctor, fails, impatient, run, seen, sessions, settings, site, succeeds};
use crate::stage::{
    figures::{
        Said::{AtLeast, Exactly},
        assert_moved, metrics,
    },
    wait_until,
};

/// However long nothing can be ended, one of its revocations is open at most (P8).
#[tokio::test]
async fn a_session_that_cannot_be_ended_fails_a_run_wherever_people_look_until_it_can() {
    let (database, user, _) = site().await;
    let refuse = "create function refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
        create trigger refuse before delete on django_session for each row execute function refuse()";
    let _daemon = database.daemon_with(impatient(&user)).await;
    succeeds(&database).await;
    let well = metrics(&database).await;
    database.batch_execute(refuse).await.unwrap();
    fails(&database, "gone").await;
    let failures = "select failures from session_reaper.canary";
    wait_until("it has failed again", || async {
        database.number(failures).await >= 3
    })
    .await;
    let open = "select count(*) from session_reaper.revocation where state <> 'settled'";
    assert_eq!(database.number(open).await, 1);
    assert_eq!(sessions(&database).await, 1);

    let canary = seen(&database).await;
    assert_eq!(canary["failed_stage"], "gone");
    assert!(canary["gone_s"].as_f64() > Some(0.0), "of the last success");
    let said = run(database.url(), &["status"]).await.stdout;
    assert!(said.contains("its session was not ended in time"), "{said}");
    assert_moved(
        &well,
        &metrics(&database).await,
        &[
            ("canary_failing", Exactly(0.0), Exactly(1.0)),
            ("canary_failures_total", AtLeast(0.0), AtLeast(3.0)),
        ],
    );
    let (ended, finding) = doctor(&database, &user).await;
    assert_eq!(
        (&finding["id"], &finding["verdict"]),
        (&"canary.failed".into(), &"warn".into()),
        "{}",
        ended.stdout
    );

    database
        .batch_execute("drop trigger refuse on django_session")
        .await
        .unwrap();
    succeeds(&database).await;
    assert!(seen(&database).await["failed_stage"].is_null());
    wait_until("nothing is left", || async {
        sessions(&database).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_trigger_that_does_not_fire_fails_a_run_and_nothing_is_left_of_it() {
    let (database, user, other) = site().await;
    let others = database.log_in(other, 2).await;
    let trigger =
        |does: &str| format!("alter table auth_user {does} trigger session_reaper_update_password");
    let _daemon = database.daemon_with(impatient(&user)).await;
    succeeds(&database).await;
    database.batch_execute(&trigger("disable")).await.unwrap();
    fails(&database, "trigger").await;
    assert_eq!(sessions(&database).await, 2);
    let asked = "select count(*) from session_reaper.canary where revocation_id is not null";
    assert_eq!(database.number(asked).await, 0);
    database.batch_execute(&trigger("enable")).await.unwrap();
    succeeds(&database).await;
    assert_eq!(database.count(&others).await, 2);
}

#[tokio::test]
async fn a_transaction_that_stays_open_keeps_a_run_from_settling_and_its_session_is_gone() {
    let (database, user, _) = site().await;
    let _daemon = database.daemon_with(impatient(&user)).await;
    succeeds(&database).await;
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.execute("select 1", &[]).await.unwrap();
    fails(&database, "settled").await;
    let failures = "select failures from session_reaper.canary";
    wait_until("it has failed again", || async {
        database.number(failures).await >= 3
    })
    .await;
    assert_eq!(database.open_revocations().await, 1);
    assert_eq!(sessions(&database).await, 0);
    open.rollback().await.unwrap();
    succeeds(&database).await;
}

/// P2.
#[tokio::test]
async fn while_somebody_is_logged_in_as_its_user_no_run_begins() {
    let (database, user, _) = site().await;
    let own = database.log_in(user.parse().unwrap(), 2).await;
    let _daemon = database.daemon_with(settings(Some(&user))).await;
    fails(&database, "in_use").await;
    let failures = "select failures from session_reaper.canary";
    wait_until("it has failed again", || async {
        database.number(failures).await >= 2
    })
    .await;
    assert_eq!(database.count(&own).await, 2);
    let asked = "select count(*) from session_reaper.revocation";
    assert_eq!(database.number(asked).await, 0);
}

#[tokio::test]
async fn a_user_who_is_not_there_or_not_installed_fails_a_run() {
    let (database, user, _) = site().await;
    let daemon = database.daemon_with(settings(Some("0"))).await;
    fails(&database, "other_user").await;
    daemon.stop().await;
    database.served_by(0).await;
    let delete = "delete from auth_user where id = $1::text::int";
    database.execute(delete, &[&user]).await.unwrap();
    let _daemon = database.daemon_with(settings(Some(&user))).await;
    fails(&database, "no_user").await;
    assert_eq!(sessions(&database).await, 0);
}

/// A daemon that dies between its steps leaves a session behind, and nobody else is there to end it.
#[tokio::test]
async fn what_a_daemon_that_died_has_left_is_deleted_by_the_next_one_also_where_it_is_switched_off()
{
    let (database, user, _) = site().await;
    let begin = "select outcome from session_reaper.canary_begin($1, 1, 1)";
    for next in [settings(Some(&user)), settings(None)] {
        let died = database.query_one(begin, &[&user]).await.unwrap();
        assert_eq!(died.get::<_, String>(0), "begun");
        assert_eq!(sessions(&database).await, 1);
        let long_ago = "update session_reaper.canary set began_at = began_at - interval '1 minute'";
        database.execute(long_ago, &[]).await.unwrap();
        let is_off = next.canary.user.is_none();
        let mut next = next;
        if is_off {
            next.canary.interval_s = 0;
        }
        let daemon = database.daemon_with(next).await;
        if !is_off {
            succeeds(&database).await;
        }
        wait_until("nothing is left", || async {
            sessions(&database).await == 0
        })
        .await;
        daemon.stop().await;
        database.served_by(0).await;
        let forget = "update session_reaper.canary set began_at = null";
        database.execute(forget, &[]).await.unwrap();
    }
    assert!(seen(&database).await["began_at_s"].is_null());
}

#[tokio::test]
async fn a_canary_that_has_not_succeeded_for_long_is_stale() {
    let (database, user, _) = site().await;
    let daemon = database.daemon_with(settings(Some(&user))).await;
    succeeds(&database).await;
    daemon.stop().await;
    database.served_by(0).await;
    // Another daemon serves, without these settings: its canary is off, and says nothing.
    let _daemon = database.daemon().await;
    let tidy = "select count(*) from session_reaper.serving_daemons() d, session_reaper.canary c where c.began_at is null";
    wait_until("it has said who it is, and tidied up", || async {
        database.number(tidy).await == 1
    })
    .await;
    let long = "update session_reaper.daemon set since = since - interval '1 hour'";
    database.execute(long, &[]).await.unwrap();
    let (ended, finding) = doctor(&database, &user).await;
    assert_eq!(finding["id"], "canary.stale", "{}", ended.stdout);
}
