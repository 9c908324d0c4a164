//! SIGTERM, SIGINT and SIGHUP.

use session_reaper::demo::site;

use crate::stage::program::{Daemon, SettingsFile};
use crate::stage::{Database, wait_until};

const EVERY_SECOND: (&str, &str) = ("SESSION_REAPER_PURGE_SCHEDULE", "* * * * * *");
const IN_TWENTIES: (&str, &str) = ("SESSION_REAPER_PURGE_BATCH_ROWS", "20");

/// Makes each delete of a session take a while, so that a batch can be met half-way.
async fn slow_down(database: &Database, seconds: f64) {
    database
        .batch_execute(&format!(
            "create function dawdle() returns trigger language plpgsql as
                'begin perform pg_sleep({seconds}); return old; end';
            create trigger dawdle before delete on django_session for each row execute function dawdle()"
        ))
        .await
        .unwrap();
}

const BATCH: &str = "from pg_stat_activity where datname = current_database() and state = 'active'
    and query like '-- purge::batch::delete%'";

async fn in_a_batch(database: &Database) {
    let batches = format!("select count(*) {BATCH}");
    wait_until("a batch is being deleted", || async {
        database.number(&batches).await > 0
    })
    .await;
}

#[tokio::test]
async fn a_signal_ends_an_idle_daemon_with_code_0() {
    let database = Database::create().await;
    for signal in ["TERM", "INT"] {
        let mut daemon = Daemon::start(database.url());
        daemon.serves().await;
        daemon.signal(signal);
        assert_eq!(daemon.ended().await.code(), Some(0), "{signal}");
        daemon.says("\"stopped\"").await;
    }
}

#[tokio::test]
async fn a_signal_in_a_batch_finishes_that_batch_and_begins_no_other() {
    for signal in ["TERM", "INT"] {
        let database = Database::create().await;
        let expired = site::abandon(&database.client, 60).await.unwrap();
        slow_down(&database, 0.02).await;
        let mut daemon = Daemon::start_with(database.url(), &[], &[EVERY_SECOND, IN_TWENTIES]);
        in_a_batch(&database).await;

        daemon.signal(signal);
        assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.log());

        let left = database.count(&expired).await;
        assert!(left < 60, "the batch in hand was finished");
        assert_eq!(left % 20, 0, "{left} left: no batch was cut in two");
        assert!(left > 0, "and the next one was not begun");
    }
}

#[tokio::test]
async fn a_second_signal_leaves_at_once_and_the_batch_is_rolled_back() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let database = Database::create().await;
        let expired = site::abandon(&database.client, 20).await.unwrap();
        // The patience of a test: were the batch waited for, the test would fail.
        slow_down(&database, 60.0).await;
        let mut daemon = Daemon::start_with(database.url(), &[], &[EVERY_SECOND]);
        in_a_batch(&database).await;

        daemon.signal(signal);
        daemon.says("a second signal stops at once").await;
        daemon.signal(signal);
        assert_eq!(daemon.ended().await.code(), Some(code));

        let ended = format!("select count(pg_terminate_backend(pid)) {BATCH}");
        database.number(&ended).await;
        assert_eq!(database.count(&expired).await, 20);
    }
}

#[tokio::test]
async fn a_reload_brings_another_schedule_and_another_level() {
    let database = Database::create().await;
    let file = SettingsFile::new("[purge]\nschedule = ''\n[listen]\nheartbeat_s = 1");
    let expired = site::abandon(&database.client, 5).await.unwrap();
    let daemon = Daemon::start_with(database.url(), &["--config", file.path()], &[]);
    daemon.serves().await;
    assert_eq!(database.count(&expired).await, 5);
    assert_eq!(daemon.times("\"DEBUG\""), 0);

    file.write(
        "[purge]\nschedule = '* * * * * *'\n[listen]\nheartbeat_s = 1\n[log]\nlevel = 'debug'",
    );
    daemon.signal("HUP");
    daemon.says("\"settings reloaded\"").await;
    wait_until("they are purged", || async {
        database.count(&expired).await == 0
    })
    .await;
    daemon.says("\"heartbeat\"").await;
}

#[tokio::test]
async fn a_reload_from_a_broken_file_leaves_the_old_settings_in_force_and_says_so_in_one_line() {
    let database = Database::create().await;
    let good = "[purge]\nschedule = '* * * * * *'";
    let file = SettingsFile::new(good);
    let daemon = Daemon::start_with(database.url(), &["--config", file.path()], &[]);
    daemon.serves().await;

    file.write("[purge]\nshedule = ''");
    daemon.signal("HUP");
    daemon
        .says("settings not reloaded; the old ones stay in force")
        .await;
    let complaint = daemon
        .lines()
        .into_iter()
        .find(|line| line["level"] == "ERROR")
        .unwrap();
    let reason = complaint["error"].as_str().unwrap();
    assert!(
        reason.contains("line 2") && reason.contains("nearest known name is `schedule`"),
        "{reason}"
    );
    assert_eq!(daemon.times("\"ERROR\""), 1);
    let expired = site::abandon(&database.client, 5).await.unwrap();
    wait_until("they are purged all the same", || async {
        database.count(&expired).await == 0
    })
    .await;

    file.write(&format!("{good}\n[database]\npool_size = 9"));
    daemon.signal("HUP");
    daemon
        .says("settings have changed that need a restart: [database], [site]")
        .await;
}
