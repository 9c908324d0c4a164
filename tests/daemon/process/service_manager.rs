//! What a service manager is told: ready, alive, and how it is.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use session_reaper::demo::server::Shutdown;

use super::program::{Daemon, SettingsFile, run_with};
use crate::stage::{Database, start_server, wait_until};

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
    manager.hears("STATUS=waiting for the database: ", 0).await;
    daemon.says("waiting for the database").await;
    // A reload in between must not claim that it is ready.
    daemon.signal("HUP");

    server.start_again().unwrap();
    manager.hears("STATUS=serving", 0).await;
    daemon.says("\"settings reloaded\"").await;

    let fed = manager.hears("WATCHDOG=1", 0).await;
    let before = &manager.messages()[..fed];
    let ready = before.iter().filter(|message| *message == "READY=1");
    assert_eq!(ready.count(), 1, "{before:?}");
    assert!(!has(before, "RELOADING=1"), "{before:?}");
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
    assert!(!has(&manager.messages(), "READY=1"));
}
