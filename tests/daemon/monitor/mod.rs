//! What is to be had over HTTP: figures, health and a page, to whoever looks, and no harm from whoever asks.

pub mod asking;
mod browser;
mod harm;
mod own;
mod page;

use crate::stage::{
    Database,
    program::{Daemon, run, run_with},
    proxy::Proxy,
    server, wait_until,
};
use asking::{Asked, free_port, watched};

#[tokio::test]
async fn a_daemon_that_serves_is_alive_and_ready_and_shows_the_figures_of_status() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 3).await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    assert_eq!(port.get("/healthz").await.said(200), "alive\n");
    assert_eq!(port.get("/readyz").await.said(200), "serving\n");
    database.sessions_backfilled().await;
    wait_until("three sessions are linked", || async {
        let figures = port.get("/metrics").await.said(200);
        figures.contains("\nsession_reaper_linked_sessions 3\n")
    })
    .await;
    let answer = port.get("/metrics").await;
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    let figures = answer.said(200);
    for line in [
        "session_reaper_served 1",
        "session_reaper_problems 0",
        "session_reaper_ready 1",
        "session_reaper_settings_in_force 1",
        "session_reaper_worker_failures_total{worker=\"revoker\"} 0",
        "# TYPE session_reaper_evicted_sessions_total counter",
    ] {
        assert!(figures.contains(&format!("{line}\n")), "{line}: {figures}");
    }
    // The names are those that `status --metrics` prints, and those that only a daemon knows.
    let own = [
        "worker_failures_total",
        "ready",
        "settings_in_force",
        "start_timestamp_seconds",
        "last_reload_timestamp_seconds",
    ];
    let printed = run(database.url(), &["status", "--metrics"]).await;
    let shared: Vec<_> = names(&figures)
        .into_iter()
        .filter(|name| {
            !own.iter()
                .any(|own| name == &format!("session_reaper_{own}"))
        })
        .collect();
    assert_eq!(shared, names(&printed.stdout));
}

fn names(figures: &str) -> Vec<String> {
    let types = figures
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn without_a_database_it_is_alive_and_says_why_it_is_not_ready() {
    let database = Database::create().await;
    let mut proxy = Proxy::before(server().port()).await;
    let url = proxy.url(database.name());
    let (daemon, port) = watched(&url).await;
    daemon.serves().await;
    assert_eq!(port.get("/readyz").await.status, 200);
    proxy.refuse().await;
    wait_until("it is not ready", || async {
        port.get("/readyz").await.status == 503
    })
    .await;
    let why = port.get("/readyz").await.said(503);
    assert!(why.contains("not listening: "), "{why}");
    assert_eq!(port.get("/healthz").await.said(200), "alive\n");
    // What was seen a moment ago may still be told; then nothing is claimed that nobody knows.
    wait_until("the figures say that nothing is known", || async {
        let figures = port.get("/metrics").await.said(200);
        figures.contains("session_reaper_unknown 1\n")
            && !figures.contains("session_reaper_problems")
    })
    .await;
    let figures = port.get("/metrics").await.said(200);
    assert!(figures.contains("session_reaper_ready 0\n"), "{figures}");
    assert!(!figures.contains("session_reaper_served"), "{figures}");
    let page = port.get("/").await.said(200);
    assert!(
        page.contains("How it stands in the database is not known"),
        "{page}"
    );

    // One that starts now waits for its server, and says so.
    let (_second, second) = watched(&url).await;
    assert_eq!(second.get("/healthz").await.said(200), "alive\n");
    wait_until("the second one says why", || async {
        let answer = second.get("/readyz").await;
        answer.said(503).contains("waiting for the database: ")
    })
    .await;
    proxy.restore().await;
    for port in [&port, &second] {
        wait_until("it is ready again", || async {
            port.get("/readyz").await.status == 200
        })
        .await;
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_had_is_refused_at_the_start_with_a_sentence() {
    let database = Database::create_bare(server()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap().to_string();
    for (listen, code, says) in [
        (
            taken_at.as_str(),
            1,
            "take another port, or stop who has this one",
        ),
        (
            "unix:/nowhere/at/all.sock",
            1,
            "in a directory that the daemon may write to",
        ),
        ("0.0.0.0:9187", 2, "set metrics.allow_remote = true"),
        ("localhost:9187", 2, "has to be an address with a port"),
    ] {
        let variables = [("SESSION_REAPER_METRICS_LISTEN", listen)];
        let ended = run_with(database.url(), &["run"], &variables).await;
        ended.assert_refused(code, &["metrics.listen", says]);
    }
}

#[tokio::test]
async fn a_socket_is_listened_on_and_what_a_dead_daemon_left_of_it_is_taken_away() {
    let database = Database::create().await;
    let path = std::env::temp_dir().join(format!("session-reaper-{:016x}.sock", fastrand::u64(..)));
    let listen = format!("unix:{}", path.display());
    let variables = [("SESSION_REAPER_METRICS_LISTEN", listen.as_str())];
    let mut killed = Daemon::start_with(database.url(), &[], &variables);
    killed.serves().await;
    let second = run_with(database.url(), &["run"], &variables).await;
    second.assert_refused(1, &["cannot listen on", "take another path"]);
    killed.signal("KILL");
    killed.ended().await;
    assert!(path.exists());
    let mut daemon = Daemon::start_with(database.url(), &[], &variables);
    daemon.serves().await;
    let answer = Asked::over_socket(&path, "GET /readyz HTTP/1.1\r\nHost: any\r\n\r\n").await;
    assert_eq!(answer.said(200), "serving\n");
    daemon.signal("TERM");
    assert!(daemon.ended().await.success());
    assert!(!path.exists(), "it is left behind");
}

#[tokio::test]
async fn where_the_page_is_not_wanted_there_is_none() {
    let database = Database::create().await;
    let port = free_port();
    let listen = format!("127.0.0.1:{}", port.number());
    let variables = [
        ("SESSION_REAPER_METRICS_LISTEN", listen.as_str()),
        ("SESSION_REAPER_METRICS_PAGE", "false"),
    ];
    let daemon = Daemon::start_with(database.url(), &[], &variables);
    daemon.serves().await;
    let said = port.get("/").await.said(404);
    assert!(said.contains("metrics.page"), "{said}");
    assert_eq!(port.get("/readyz").await.status, 200);
}
