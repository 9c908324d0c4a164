use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

fn psql(server: &Server, url: &str, statement: &str) -> String {
    let output = Command::new(server.bin_dir().join("psql"))
        .args(["-X", "-A", "-t", "-d", url, "-c", statement])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_server_answers_on_its_socket_and_leaves_nothing_behind() {
    let server = Server::start(&Options::default()).unwrap();
    let dir = server.socket_dir().to_owned();
    let url = server.url("postgres");
    let encoding = psql(
        &server,
        &url,
        "select current_user, current_setting('server_encoding')",
    );
    assert_eq!(encoding, "postgres|UTF8");
    assert_eq!(psql(&server, &url, "show listen_addresses"), "");
    drop(server);
    assert!(!dir.exists(), "{} is still there", dir.display());
}

#[test]
fn data_survive_every_kind_of_restart() {
    let conf = vec!["max_prepared_transactions = 3".to_owned()];
    let mut server = Server::start(&Options {
        tcp: true,
        conf,
        ..Options::default()
    })
    .unwrap();
    let url = server.tcp_url("postgres");
    assert_eq!(psql(&server, &url, "show max_prepared_transactions"), "3");
    psql(&server, &url, "create table kept (number int)");
    for mode in [Shutdown::Smart, Shutdown::Fast, Shutdown::Immediate] {
        let before = server.pid();
        server.stop(mode).unwrap();
        server.stop(mode).unwrap();
        assert!(server.pid().is_none() && before.is_some());
        assert!(UnixStream::connect(server.socket_dir().join(".s.PGSQL.5432")).is_err());
        server.start_again().unwrap();
        psql(&server, &url, "insert into kept values (1)");
    }
    server.restart().unwrap();
    assert_eq!(
        psql(
            &server,
            &server.url("postgres"),
            "select count(*) from kept"
        ),
        "3"
    );
    assert!(
        server
            .log()
            .contains("database system is ready to accept connections")
    );
}

#[test]
fn a_setting_that_the_server_refuses_is_quoted_from_its_log() {
    let conf = vec!["no_such_setting = 1".to_owned()];
    let error = Server::start(&Options {
        conf,
        ..Options::default()
    })
    .err()
    .unwrap();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn the_watchdog_ends_a_server_whose_owner_was_killed() {
    let mut server = Server::start(&Options::default()).unwrap();
    let dir = server.socket_dir().to_owned();
    // What the kernel does to a killed process's pipes, without killing the tests.
    let mut postmaster = server.postmaster.take().unwrap();
    let reaped = std::thread::spawn(move || postmaster.wait());
    drop(server);
    assert!(!dir.exists());
    reaped.join().unwrap();
}

#[test]
fn the_watchdog_outlives_a_terminal_that_hangs_up() {
    let dir = cluster::private_directory().unwrap();
    let watchdog = Watchdog::over(&dir).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let signalled = Command::new("sh")
        .args([
            "-c",
            "kill -HUP $1; kill -INT $1",
            "sh",
            &watchdog.pid().to_string(),
        ])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(signalled.success());
    let begun = Instant::now();
    drop(watchdog);
    assert!(!dir.exists() && begun.elapsed() < Duration::from_secs(5));
}
