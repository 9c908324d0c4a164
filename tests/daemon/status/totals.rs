//! Totals for monitors: they only ever grow, whatever is pruned and whichever daemon is started anew.

use session_reaper::settings::Settings;

use crate::stage::{
    Database,
    figures::{Figures, metrics},
    program::{run, run_with},
    wait_until,
};

fn figure(figures: &Figures, name: &str) -> f64 {
    figures[&format!("session_reaper_{name}")]
}

/// Each count of a histogram and of what has a reason.
fn counts(figures: &Figures) -> Figures {
    let grows = |name: &String| {
        ["_bucket", "_count", "_total"]
            .iter()
            .any(|end| name.contains(end))
    };
    figures
        .iter()
        .filter(|(name, _)| grows(name))
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

#[tokio::test]
async fn what_is_pruned_stays_counted() {
    let database = Database::create().await;
    let users = database.users(40).await;
    for user in &users {
        database.log_in(*user, 1).await;
    }
    let daemon = database.daemon().await;
    for user in &users {
        database.change_password(*user).await;
    }
    database.settled().await;
    daemon.stop().await;
    // Of every age, so that each bucket has some.
    database
        .batch_execute(
            "update session_reaper.revocation r set
                changed_at = r.revoked_at - interval '3 ms' * 2 ^ (r.id % 25),
                settled_at = r.revoked_at + interval '1 ms' * 2 ^ (r.id % 29);
             update session_reaper.revocation r set changed_at = 'infinity' where r.id % 7 = 0",
        )
        .await
        .unwrap();
    let before = metrics(&database).await;
    assert!(figure(&before, "gone_seconds_count") < 40.0);
    assert_eq!(
        figure(&before, "ended_sessions_total{reason=\"password\"}"),
        40.0
    );
    // In three goes, so that what was kept before is added to.
    for of_three in 0..3 {
        database
            .execute(
                "delete from session_reaper.revocation r where r.id % 3 = $1",
                &[&i64::from(of_three)],
            )
            .await
            .unwrap();
        assert_eq!(counts(&metrics(&database).await), counts(&before));
    }
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        0
    );
    let tally =
        "select count(*) - count(distinct (reason, gone_le, settled_le)) from session_reaper.tally";
    assert_eq!(database.number(tally).await, 0);
    let after = metrics(&database).await;
    let (sums, known) = (
        figure(&before, "gone_seconds_sum"),
        figure(&after, "gone_seconds_sum"),
    );
    assert!((sums - known).abs() < 1e-6 * sums, "{sums} {known}");
}

#[tokio::test]
async fn every_purge_adds_to_what_was_purged_in_all() {
    let database = Database::create().await;
    for in_all in [2, 4] {
        database
            .batch_execute(
                "insert into django_session (session_key, session_data, expire_date)
                 select 'expired' || n || '-' || extract(epoch from clock_timestamp()), '', now() - interval '1 hour'
                 from generate_series(1, 2) n",
            )
            .await
            .unwrap();
        run(database.url(), &["purge"]).await.assert_done();
        let figures = metrics(&database).await;
        assert_eq!(figure(&figures, "purged_sessions_total"), f64::from(in_all));
    }
}

#[tokio::test]
async fn status_says_who_serves_since_when_and_when_the_next_purge_is() {
    let database = Database::create().await;
    let mut settings = Settings::default();
    settings.listen.heartbeat_s = 1;
    let first = database.daemon_with(settings.clone()).await;
    let second = database.daemon_with(settings).await;
    let version = env!("CARGO_PKG_VERSION");
    let daemons = async || {
        let status = run(database.url(), &["status", "--json"]).await.stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["daemons"].as_array().unwrap().clone()
    };
    wait_until("both say who they are", || async {
        daemons().await.len() == 2
    })
    .await;
    for daemon in daemons().await {
        assert_eq!(daemon["version"], version);
        assert!(!daemon["host"].as_str().unwrap().is_empty());
    }
    let text = run(database.url(), &["status"]).await.stdout;
    let by = format!("served     yes, by session-reaper {version} on ");
    assert!(
        text.contains(&by) && text.contains("\n           and by session-reaper "),
        "{text}"
    );
    assert!(text.contains("\nnext purge in "), "{text}");
    second.stop().await;
    wait_until("one is left", || async { daemons().await.len() == 1 }).await;
    first.stop().await;
    assert!(daemons().await.is_empty());
    // What it has left behind goes with the next one.
    let _third = database.daemon().await;
    wait_until("the third says who it is", || async {
        daemons().await.len() == 1
    })
    .await;
    assert_eq!(
        database
            .number("select count(*) from session_reaper.daemon")
            .await,
        1
    );
}

/// So many that they cannot be added up in time, which a function that takes its time stands for.
#[tokio::test]
async fn totals_that_take_too_long_are_left_out_and_hide_nothing_else() {
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    database
        .batch_execute(
            "create or replace function session_reaper.totals()
             returns table (
                 reason text, gone_le double precision, settled_le double precision, revocations bigint, gone_s double precision,
                 settled_s double precision, sessions_ended bigint)
             language sql volatile
             as $$ select 'other', 1::float8, 1::float8, 1::bigint, 1::float8, 1::float8, 1::bigint from pg_sleep(60) $$",
        )
        .await
        .unwrap();
    let patience = [("SESSION_REAPER_DATABASE_STATEMENT_TIMEOUT_S", "1")];
    let figures = run_with(database.url(), &["status", "--metrics"], &patience)
        .await
        .stdout;
    assert!(figures.contains("session_reaper_unknown 1\n"), "{figures}");
    assert!(figures.contains("session_reaper_served 1\n"), "{figures}");
    assert!(
        !figures.contains("gone_seconds") && !figures.contains("purged_sessions"),
        "{figures}"
    );
    let text = run_with(database.url(), &["status"], &patience)
        .await
        .stdout;
    assert!(
        text.contains("not known  what all revocations came to: "),
        "{text}"
    );
}
