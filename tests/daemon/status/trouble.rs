//! Whatever a daemon keeps failing at is a problem, and not only for who reads its log (P8).

use serde_json::Value;
use session_reaper::settings::Settings;

use crate::{
    evict::cached::cached_site,
    stage::{
        Database,
        django::{data_of, open},
        figures::{
            Figures,
            Said::{Exactly, Nothing},
            assert_moved, metrics,
        },
        program::{Daemon, SettingsFile, run},
        wait_until,
    },
};

async fn problems(database: &Database) -> (Option<i32>, String) {
    let ended = run(database.url(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    (ended.code, status["problems"].to_string())
}

/// From when its worker begins to fail until it is mended: by `status`, by `doctor`, and by the metrics.
async fn is_told_until_mended(
    database: &Database,
    well: &Figures,
    worker: &str,
    [broken, mended]: [&str; 2],
) {
    database.batch_execute(broken).await.unwrap();
    let user = database.users(1).await[0];
    database.change_password(user).await;
    let says = format!("the {worker} of a daemon has failed for");
    wait_until(worker, || async {
        problems(database).await.1.contains(&says)
    })
    .await;
    assert_eq!(problems(database).await.0, Some(1));
    let text = run(database.url(), &["status"]).await.stdout;
    assert!(
        text.contains("problem    the ") && text.contains("SQLSTATE 42"),
        "{text}"
    );
    let mut failing = metrics(database).await;
    // Others may need the same.
    let labelled = format!("session_reaper_failing_workers{{worker=\"{worker}\"}}");
    failing.retain(|name, _| !name.contains("failing_workers") || *name == labelled);
    let moves = [("failing_workers", Nothing, Exactly(1.0))];
    assert_moved(well, &failing, &moves);
    let findings = run(database.url(), &["doctor"]).await.stdout;
    assert!(findings.contains(&says), "{findings}");
    database.batch_execute(mended).await.unwrap();
    wait_until("it works again", || async {
        problems(database).await == (Some(0), "[]".to_owned())
    })
    .await;
}

/// Each worker fails at a function of its own.
#[tokio::test]
async fn a_worker_that_keeps_failing_is_a_problem_until_it_works_again() {
    let keys = SettingsFile::new("secret\n");
    for (worker, function) in [
        ("linker", "claim_page"),
        ("settler", "unfinished"),
        ("evictor", "take_evictions"),
        ("purger", "purge_expired"),
        ("verifier", "take_unverified"),
        ("enforcer", "enforce_policy"),
        ("canary", "canary_begin"),
    ] {
        let database = cached_site().await;
        let user = database.users(1).await[0];
        database.log_in(user, 1).await;
        let variables = [
            ("SESSION_REAPER_LINK_SECRET_KEY_FILE", keys.path()),
            ("SESSION_REAPER_POLICY_SESSIONS_MAX", "5"),
            ("SESSION_REAPER_CANARY_INTERVAL_S", "10"),
            ("SESSION_REAPER_PURGE_SCHEDULE", "* * * * * *"),
            ("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1"),
            ("SESSION_REAPER_CACHE_KIND", "table"),
            ("SESSION_REAPER_CACHE_TABLE", "django_cache"),
        ];
        let well = metrics(&database).await;
        let daemon = Daemon::start_with(database.url(), &[], &variables);
        daemon.serves().await;
        let rename = |from, to| format!("alter function session_reaper.{from} rename to {to}");
        let (mut broken, mended) = (rename(function, "gone"), rename("gone", function));
        if worker == "linker" {
            broken.push_str("; select session_reaper.backfill_again('again')");
        }
        is_told_until_mended(&database, &well, worker, [&broken, &mended]).await;
    }
}

/// And those that work with columns.
#[tokio::test]
async fn so_is_one_that_misses_a_column() {
    for (worker, table, column) in [
        ("revoker", "revocation", "next_attempt_at"),
        ("clock", "clock_step", "noticed_at"),
    ] {
        let database = Database::create().await;
        // The clock's worker has nothing to do before the clock has been set back.
        let mut other = database.connect().await;
        let running = other.transaction().await.unwrap();
        let pid = running.query_one("select pg_backend_pid()", &[]).await;
        let pid: i32 = pid.unwrap().get(0);
        let step = "insert into session_reaper.clock_step (had_shown, virtual_transactions)
            select now(), array_agg(l.virtualxid)
            from pg_locks l
            where l.locktype = 'virtualxid' and l.pid = $1";
        database.execute(step, &[&pid]).await.unwrap();
        let poll = [("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1")];
        let well = metrics(&database).await;
        let daemon = Daemon::start_with(database.url(), &[], &poll);
        daemon.serves().await;
        let rename = |from, to| format!("alter table session_reaper.{table} rename {from} to {to}");
        let (broken, mended) = (rename(column, "gone"), rename("gone", column));
        is_told_until_mended(&database, &well, worker, [&broken, &mended]).await;
    }
}

/// A lock that another daemon has for a moment is none; one that somebody keeps is.
#[tokio::test]
async fn a_lock_that_keeps_the_linker_off_for_long_is_a_problem() {
    let database = Database::create().await;
    let _daemon = database.daemon_with(Settings::default()).await;
    database.sessions_backfilled().await;
    let mut other = database.connect().await;
    let holder = other.transaction().await.unwrap();
    holder
        .batch_execute("select from session_reaper.drain for update")
        .await
        .unwrap();
    let user = database.users(1).await[0];
    open(&database, &data_of(user)).await;
    wait_until("it is a problem", || async {
        let (code, found) = problems(&database).await;
        code == Some(1)
            && found.contains("the linker of a daemon has failed for")
            && found.contains("55P03")
    })
    .await;
    holder.commit().await.unwrap();
    wait_until("it is none any more", || async {
        problems(&database).await.1 == "[]"
    })
    .await;
}

/// The transaction that holds it is not waited for, by the cap, and nobody is seen to wait for its lock.
#[tokio::test]
async fn a_session_that_somebody_keeps_locked_is_a_problem_of_its_revocation() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let mut settings = Settings::default();
    settings.revoke.settle_cap_s = 1;
    let _daemon = database.daemon_with(settings).await;
    database.sessions_backfilled().await;
    let mut other = database.connect().await;
    let holder = other.transaction().await.unwrap();
    let lock = "select from django_session where session_key = $1 for update";
    holder.execute(lock, &[&sessions[0]]).await.unwrap();
    database.change_password(user).await;
    wait_until("it is a problem", || async {
        let (code, found) = problems(&database).await;
        code == Some(1) && found.contains("another transaction keeps one locked")
    })
    .await;
    holder.commit().await.unwrap();
    database.settled().await;
    assert_eq!(problems(&database).await, (Some(0), "[]".to_owned()));
}
