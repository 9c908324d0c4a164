//! Work that is not done, and what it is held up by.

use session_reaper::demo::site;

use super::{ailments, examine, named};
use crate::stage::{Database, program::run_with, server, server_with_two_phase_commit};

#[tokio::test]
async fn a_server_with_two_phase_commit_tells_by_polling() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let _daemon = database.daemon().await;
    let found = ailments(&examine(&database).await);
    assert!(
        found
            .iter()
            .any(|f| f.starts_with("two-phase warn: max_prepared_transactions is 50")),
        "{found:#?}"
    );
    assert!(named(&examine(&database).await, "two_phase.on").is_some());
}

#[tokio::test]
async fn a_schedule_that_never_purges_is_told_where_expired_sessions_wait() {
    let database = Database::create().await;
    site::abandon(&database.client, 4).await.unwrap();
    let never = [("SESSION_REAPER_PURGE_SCHEDULE", "")];
    let file = crate::stage::program::SettingsFile::new("[purge]\nschedule = \"\"\n");
    let ended = run_with(
        database.url(),
        &["doctor", "--json", "--config", file.path()],
        &never,
    )
    .await;
    let found = ailments(&ended);
    assert!(
        found
            .iter()
            .any(|f| f
                .starts_with("purge warn: 4 expired sessions wait, and purge.schedule is empty")),
        "{found:#?}"
    );
    assert!(named(&ended, "purge.never").is_some());
}

#[tokio::test]
async fn a_revocation_that_waits_for_long_names_who_it_waits_for() {
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
        let captured = "with h as (update session_reaper.horizon set captured_at = now() - interval '5 minutes' returning 1) select count(*) from h";
        database.number(captured).await > 0
    })
    .await;
    let ended = examine(&database).await;
    let waiting = named(&ended, "revocations.waiting").unwrap();
    let mend = waiting["mend"].as_str().unwrap();
    assert!(mend.starts_with("select pg_terminate_backend("), "{mend}");
    let found = ailments(&ended);
    assert!(
        found.iter().any(|f| f
            .starts_with("revocations warn: 1 wait for the open transaction of process")
            && f.contains("nightly report")),
        "{found:#?}"
    );
}

/// An old transaction sees what was deleted, so that nothing can be cleaned up.
#[tokio::test]
async fn a_table_that_autovacuum_cannot_clean_up_is_found_with_how_many_rows_are_dead() {
    let database = Database::create().await;
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.batch_execute("set transaction isolation level repeatable read; select 1")
        .await
        .unwrap();
    let churn = "insert into django_session select i::text, '', now() + interval '1 day' from generate_series(1, 4000) i;
        do $$ begin for i in 1 .. 5 loop update django_session set expire_date = expire_date + interval '1 second'; end loop; end $$";
    database.batch_execute(churn).await.unwrap();
    crate::stage::wait_until("the statistics know", || async {
        let ended = examine(&database).await;
        let found = named(&ended, "autovacuum.behind");
        found.is_some_and(|found| {
            let says = found["says"].as_str().unwrap();
            says.contains("django_session, which has 20000 dead rows")
                && found["mend"] == "vacuum django_session"
        })
    })
    .await;
}

/// And the commands that do it.
pub(super) const WITHOUT_A_DAEMON: &[(&str, &str)] = &[
    ("daemon.none", "session-reaper run"),
    ("purge.none_yet", "session-reaper purge"),
    ("linking.behind", "session-reaper link"),
];

#[tokio::test]
async fn without_a_daemon_what_it_has_not_done_is_found() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    site::abandon(&database.client, 4).await.unwrap();
    let ended = examine(&database).await;
    for (id, mend) in WITHOUT_A_DAEMON {
        let found = named(&ended, id).unwrap_or_else(|| panic!("{id}: {}", ended.stdout));
        assert_eq!(found["mend"], *mend);
    }
}

/// Durations, for instance, as old releases of Symfony write them.
#[tokio::test]
async fn numbers_that_can_be_no_times_are_found() {
    let database = Database::create_bare(server()).await;
    let add = "alter table django_session add column ends integer not null default 1440";
    database.batch_execute(add).await.unwrap();
    let column = [
        ("SESSION_REAPER_SITE_EXPIRES_COLUMN", "ends"),
        ("SESSION_REAPER_SITE_EXPIRES_UNIT", "epoch_s"),
    ];
    run_with(database.url(), &["migrate"], &column)
        .await
        .assert_done();
    site::visit(&database.client, 5).await.unwrap();
    let ended = run_with(database.url(), &["doctor", "--json"], &column).await;
    let found = named(&ended, "expiry.implausible").unwrap();
    assert!(
        found["says"]
            .as_str()
            .unwrap()
            .contains("most are durations")
    );
}
