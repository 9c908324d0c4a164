//! A Redis of the run's own, on loopback.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{net::TcpStream, time::sleep};

use crate::{daemon::signal, run::Scratch};

/// A running server. Dropping it kills it.
pub struct Server {
    command: Command,
    child: Child,
    pub port: u16,
    _directory: Scratch,
}

impl Server {
    pub async fn start() -> Self {
        let directory = Scratch::create();
        let port = free_port();
        let mut command = Command::new(program().expect("redis-server"));
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--dir"])
            .arg(&directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let server = Self {
            command,
            child,
            port,
            _directory: directory,
        };
        server.is_up().await;
        server
    }

    async fn is_up(&self) {
        for _ in 0..3000 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("redis-server does not listen");
    }

    /// As from a crash of its host.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Empty, at the same address.
    pub async fn start_again(&mut self) {
        self.child = self.command.spawn().unwrap();
        self.is_up().await;
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether there is one to run; says so where there is none.
pub fn is_installed() -> bool {
    let is_there = program().is_some();
    if !is_there {
        println!("redis-server is not installed: left out");
    }
    is_there
}

/// Where it is installed, or where tests/install has unpacked it.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/target/programs/starters");
    std::env::split_paths(&path)
        .chain([PathBuf::from(unpacked)])
        .map(|directory| directory.join("redis-server"))
        .find(|program| program.is_file())
}

/// None of those that the system gives to whoever connects somewhere while the server is down.
fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(10_000..32_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}
