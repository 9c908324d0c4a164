//! What only a daemon knows of itself.

use super::{
    Daemon, Database, Proxy,
    asking::{free_port, watched},
    server, wait_until,
};
use crate::stage::{
    figures::{
        Move,
        Said::{AtLeast, Exactly, Nothing},
        assert_moved, have_moved,
    },
    program::SettingsFile,
};

fn now() -> f64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs_f64()
}

#[tokio::test]
async fn it_is_told_when_a_daemon_was_started_and_whether_it_serves() {
    let database = Database::create().await;
    let mut proxy = Proxy::before(server().port()).await;
    let url = proxy.url(database.name());
    let (first, port) = watched(&url).await;
    first.serves().await;
    let well = port.figures().await;
    proxy.refuse().await;
    wait_until("it is not ready", || async {
        port.get("/readyz").await.status == 503
    })
    .await;
    let lost = port.figures().await;
    assert_moved(&well, &lost, &[("ready", Exactly(1.0), Exactly(0.0))]);

    let before_second = now();
    let (_second, second) = watched(&url).await;
    let waiting = second.figures().await;
    let first_at = lost["session_reaper_start_timestamp_seconds"];
    assert!(first_at < before_second);
    assert_moved(
        &lost,
        &waiting,
        &[(
            "start_timestamp_seconds",
            Exactly(first_at),
            AtLeast(before_second),
        )],
    );
    proxy.restore().await;
    wait_until("it is ready", || async {
        second.get("/readyz").await.status == 200
    })
    .await;
    assert_moved(
        &waiting,
        &second.figures().await,
        &[("ready", Exactly(0.0), Exactly(1.0))],
    );
}

#[tokio::test]
async fn a_reload_is_told_with_its_time_and_what_came_of_it() {
    let database = Database::create().await;
    let port = free_port();
    let file = SettingsFile::new("[log]\nlevel = \"info\"\n");
    let listen = format!("127.0.0.1:{}", port.number());
    let variables = [
        ("SESSION_REAPER_METRICS_LISTEN", listen.as_str()),
        ("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1"),
    ];
    let daemon = Daemon::start_with(database.url(), &["--config", file.path()], &variables);
    daemon.serves().await;
    let started = port.figures().await;
    file.write("[log]\nlevel = \"loud\"\n");
    let before_reload = now();
    daemon.signal("HUP");
    let refused = [
        ("settings_in_force", Exactly(1.0), Exactly(0.0)),
        ("failing_workers{worker=settings}", Nothing, Exactly(1.0)),
        (
            "last_reload_timestamp_seconds",
            Nothing,
            AtLeast(before_reload),
        ),
    ];
    wait_until("a reload has failed", || async {
        have_moved(&port.figures().await, &refused)
    })
    .await;
    let failed = port.figures().await;
    assert_moved(&started, &failed, &refused);

    file.write("[log]\nlevel = \"info\"\n");
    let failed_at = failed["session_reaper_last_reload_timestamp_seconds"];
    let before_reload = now();
    daemon.signal("HUP");
    let taken = [
        ("settings_in_force", Exactly(0.0), Exactly(1.0)),
        ("failing_workers{worker=settings}", Exactly(1.0), Nothing),
        (
            "last_reload_timestamp_seconds",
            Exactly(failed_at),
            AtLeast(before_reload),
        ),
    ];
    wait_until("a reload has succeeded", || async {
        have_moved(&port.figures().await, &taken)
    })
    .await;
    assert_moved(&failed, &port.figures().await, &taken);
}

const FAILED: [Move; 10] = [
    (
        "worker_failures_total{worker=linker}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=revoker}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=settler}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=evictor}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=purger}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=clock}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=verifier}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=inspector}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=enforcer}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
    (
        "worker_failures_total{worker=canary}",
        Exactly(0.0),
        AtLeast(1.0),
    ),
];

/// Each looks for something in the database that is not there any more.
#[tokio::test]
async fn a_pass_of_a_worker_that_fails_is_counted_by_the_worker() {
    let database = Database::create().await;
    let keys = SettingsFile::new("secret\n");
    let file = SettingsFile::new(
        "[policy]\nsessions_max = 5\n[canary]\ninterval_s = 10\n[purge]\nschedule = \"* * * * * *\"\n[listen]\npoll_interval_s = 1\n[site]\ncheck_interval_s = 1\n",
    );
    let port = free_port();
    let listen = format!("127.0.0.1:{}", port.number());
    let variables = [
        ("SESSION_REAPER_METRICS_LISTEN", listen.as_str()),
        ("SESSION_REAPER_LINK_SECRET_KEY_FILE", keys.path()),
    ];
    // Something for the clock's worker to look after, for as long as this transaction from before is open.
    let mut open = database.connect().await;
    let _open = open.transaction().await.unwrap();
    let stepped = "insert into session_reaper.clock_step (had_shown, virtual_transactions)
        select now() + interval '1 hour', array_agg(virtualxid) from pg_locks where locktype = 'virtualxid'";
    database.batch_execute(stepped).await.unwrap();
    let daemon = Daemon::start_with(database.url(), &["--config", file.path()], &variables);
    daemon.serves().await;
    database.sessions_backfilled().await;
    let before = port.figures().await;
    database
        .batch_execute("alter schema session_reaper rename to gone; create schema session_reaper; create table session_reaper.pause ()")
        .await
        .unwrap();
    wait_until("each has failed", || async {
        have_moved(&port.figures().await, &FAILED)
    })
    .await;
    assert_moved(&before, &port.figures().await, &FAILED);
}
