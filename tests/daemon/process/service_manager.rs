//! What a service manager is told: ready, alive, and how it is.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use session_reaper::demo::server::Shutdown;

use crate::stage::program::{Daemon, SettingsFile, run, run_with};
use crate::stage::{Database, server, start_server, wait_until};

/// The other end of `NOTIFY_SOCKET`.
struct Manager {
    path: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn new() -> Self {
        let name = format!("session-reaper-notify-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok(length) = socket.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..length]);
                ears.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        Self { path, heard }
    }

    /// A daemon whose heart beats every second.
    fn start(&self, url: &str) -> Daemon {
        let variables = [
            ("NOTIFY_SOCKET", self.path.to_str().unwrap()),
            ("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1"),
        ];
        Daemon::start_with(url, &[], &variables)
    }

    fn messages(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits for a message that begins like this after the first `before`, and returns its place.
    #[track_caller]
    fn hears(&self, start: &str, before: usize) -> impl Future<Output = usize> {
        let place = move |messages: &[String], start: &str| {
            messages
                .iter()
                .skip(before)
                .position(|message| message.starts_with(start))
        };
        let (heard, start) = (Arc::clone(&self.heard), start.to_owned());
        let again = Arc::clone(&heard);
        let wanted = start.clone();
        let waiting = wait_until(&format!("the daemon tells {start}"), move || {
            let found = place(&heard.lock().unwrap(), &wanted).is_some();
            async move { found }
        });
        async move {
            waiting.await;
            before + place(&again.lock().unwrap(), &start).unwrap()
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn has(messages: &[String], start: &str) -> bool {
    messages.iter().any(|message| message.starts_with(start))
}

#[tokio::test]
async fn it_is_ready_when_a_heartbeat_came_back_and_says_when_it_stops() {
    let database = Database::create().await;
    let manager = Manager::new();
    let mut daemon = manager.start(database.url());
    let ready = manager.hears("READY=1", 0).await;
    manager.hears("STATUS=serving", 0).await;
    let fed = manager.hears("WATCHDOG=1", 0).await;
    manager.hears("WATCHDOG=1", fed + 1).await;
    daemon.signal("HUP");
    let reloading = manager.hears("RELOADING=1", ready).await;
    manager.hears("MONOTONIC_USEC=", reloading).await;
    manager.hears("READY=1", reloading).await;

    daemon.signal("TERM");
    let stopping = manager.hears("STOPPING=1", 0).await;
    daemon.ended().await;

    assert!(!has(&manager.messages()[..ready], "WATCHDOG=1"));
    assert!(has(&manager.messages()[stopping..], "STATUS=stopping"));
}

#[tokio::test]
async fn a_reload_from_a_broken_file_stands_in_the_status_line_until_one_succeeds() {
    let database = Database::create().await;
    let manager = Manager::new();
    let file = SettingsFile::new("[listen]\nheartbeat_s = 1");
    let variables = [("NOTIFY_SOCKET", manager.path.to_str().unwrap())];
    let daemon = Daemon::start_with(database.url(), &["--config", file.path()], &variables);
    manager.hears("STATUS=serving", 0).await;

    file.write("[listen]\nheartbaet_s = 1");
    daemon.signal("HUP");
    let told = manager
        .hears("STATUS=serving; settings not reloaded: ", 0)
        .await;
    assert!(manager.messages()[told].contains("`heartbeat_s`"));
    assert!(has(&manager.messages(), "READY=1"));
    let told_status = "select count(*) from session_reaper.trouble t where t.worker = 'settings'";
    wait_until("status knows", || async {
        database.number(told_status).await == 1
    })
    .await;
    let said = run(database.url(), &["status"]).await;
    assert!(
        said.stdout.contains("could not reload its settings"),
        "{}",
        said.stdout
    );
    assert_eq!(said.code, Some(1));

    file.write("[listen]\nheartbeat_s = 1");
    daemon.signal("HUP");
    wait_until("status knows that it is over", || async {
        database.number(told_status).await == 0
    })
    .await;
    let back = manager.hears("STATUS=serving", told + 1).await;
    assert_eq!(manager.messages()[back], "STATUS=serving");
}

#[tokio::test]
async fn the_watchdog_is_not_fed_while_notifications_cannot_arrive() {
    let mut server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let manager = Manager::new();
    let daemon = manager.start(database.url());
    manager.hears("WATCHDOG=1", 0).await;

    server.stop(Shutdown::Fast).unwrap();
    let lost = manager.hears("STATUS=not listening: ", 0).await;
    // So that there was time to feed it.
    daemon.says_again("not listening", 3).await;
    assert!(!has(&manager.messages()[lost..], "WATCHDOG=1"));

    server.start_again().unwrap();
    let back = manager.hears("STATUS=serving", lost).await;
    manager.hears("WATCHDOG=1", back).await;
}

#[tokio::test]
async fn a_server_that_does_not_run_yet_is_waited_for_and_then_served() {
    let mut server = start_server(&[]);
    let database = Database::create_on(&server).await;
    server.stop(Shutdown::Fast).unwrap();
    let manager = Manager::new();
    let daemon = manager.start(database.url());
    let waiting = manager.hears("STATUS=waiting for the database: ", 0).await;
    daemon.says("waiting for the database").await;
    // Neither the boot nor `systemctl start` waits for the server, and no watchdog ends who waits.
    manager.hears("READY=1", waiting).await;
    let fed = manager.hears("WATCHDOG=1", waiting).await;
    manager.hears("WATCHDOG=1", fed + 1).await;
    assert!(!has(&manager.messages(), "STATUS=serving"));
    daemon.signal("HUP");

    server.start_again().unwrap();
    manager.hears("STATUS=serving", waiting).await;
    daemon.says("\"settings reloaded\"").await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_keeps_no_start_waiting() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let manager = Manager::new();
    let url = format!("postgresql://nobody@127.0.0.1:{port}/x?sslmode=disable&connect_timeout=600");
    let _daemon = manager.start(&url);
    let status = "STATUS=waiting for the database to answer";
    let told = manager.hears(status, 0).await;
    manager.hears("READY=1", told).await;
    let fed = manager.hears("WATCHDOG=1", told).await;
    manager.hears("WATCHDOG=1", fed + 1).await;
}

#[tokio::test]
async fn why_it_could_not_start_stays_in_the_status_line() {
    let database = Database::create_bare(server()).await;
    let manager = Manager::new();
    let mut daemon = manager.start(database.url());
    assert_eq!(daemon.ended().await.code(), Some(1));
    let told = manager.hears("STATUS=", 0).await;
    assert!(manager.messages()[told].contains("session-reaper migrate"));
    assert!(!has(&manager.messages(), "READY=1"));
}

#[tokio::test]
async fn an_outage_is_said_by_the_listener_and_not_by_everybody() {
    let mut server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let manager = Manager::new();
    let daemon = manager.start(database.url());
    daemon.serves().await;
    let before = daemon.lines().len();

    server.stop(Shutdown::Fast).unwrap();
    manager.hears("STATUS=not listening: ", 0).await;
    daemon.says_again("not listening", 3).await;
    server.start_again().unwrap();
    daemon.says_again("\"listening\"", 1).await;

    let said = daemon.lines();
    for line in said[before..].iter().filter(|line| line["level"] != "INFO") {
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with("not listening"), "{line}");
    }
}

#[tokio::test]
async fn a_heartbeat_too_slow_for_the_watchdog_is_refused_at_the_start_and_at_a_reload() {
    let database = Database::create().await;
    let watched = [
        ("WATCHDOG_USEC", "20000000"),
        ("SESSION_REAPER_LISTEN_HEARTBEAT_S", "11"),
    ];
    run_with(database.url(), &["run"], &watched)
        .await
        .assert_refused(
            2,
            &[
                "listen.heartbeat_s",
                "at most half of WatchdogSec=",
                "10, and is 11",
            ],
        );

    let file = SettingsFile::new("[listen]\nheartbeat_s = 10");
    let arguments = ["--config", file.path()];
    let daemon = Daemon::start_with(database.url(), &arguments, &watched[..1]);
    daemon.serves().await;
    file.write("[listen]\nheartbeat_s = 11");
    daemon.signal("HUP");
    daemon
        .says("settings not reloaded; the old ones stay in force")
        .await;
    daemon.says("at most half of WatchdogSec=").await;
}

#[tokio::test]
async fn a_daemon_that_waits_for_its_server_can_be_stopped() {
    let manager = Manager::new();
    let mut daemon = manager.start("postgresql:///nowhere?host=/nonexistent&user=nobody");
    manager.hears("STATUS=waiting for the database: ", 0).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), Some(0));
}
