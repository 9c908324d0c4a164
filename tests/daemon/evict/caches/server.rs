//! Servers of caches for the tests: on loopback, in a directory of their own, ended with the test.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use redis::{FromRedisValue, RedisResult, aio::MultiplexedConnection};
use tokio::net::{TcpStream, UnixStream};

use crate::stage::{find_program, wait_until};

/// A server that a test may kill and start again. Dropping it ends it.
pub struct CacheServer {
    command: Command,
    child: Child,
    dir: PathBuf,
    pub port: u16,
    /// Beside the port.
    opens_a_socket: bool,
}

impl CacheServer {
    /// Redis with these lines of its configuration; none if it is not installed.
    pub async fn redis(conf: &[&str]) -> Option<Self> {
        Self::like_redis("redis-server", conf).await
    }

    /// The same with Valkey.
    pub async fn valkey(conf: &[&str]) -> Option<Self> {
        Self::like_redis("valkey-server", conf).await
    }

    /// A Sentinel with these lines of its configuration.
    pub async fn sentinel(conf: &[&str]) -> Option<Self> {
        Self::like_redis("redis-sentinel", conf).await
    }

    async fn like_redis(name: &str, conf: &[&str]) -> Option<Self> {
        let program = find_program(name)?;
        let (dir, port) = (new_dir(), free_port());
        let mut lines = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", dir.display()),
        ];
        let opens_a_socket = name != "redis-sentinel";
        if opens_a_socket {
            lines.push("save \"\"".to_owned());
            // Nobody else will ask for a copy.
            lines.push("repl-diskless-sync-delay 0".to_owned());
            lines.push(format!("unixsocket {}", dir.join("socket").display()));
        }
        lines.extend(conf.iter().map(ToString::to_string));
        let file = dir.join("conf");
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let mut command = Command::new(program);
        command.arg(file);
        let mut server = Self::spawn(command, dir, port);
        server.opens_a_socket = opens_a_socket;
        server.is_up().await;
        Some(server)
    }

    /// Memcached; none if it is not installed.
    pub async fn memcached() -> Option<Self> {
        let program = find_program("memcached")?;
        let (dir, port) = (new_dir(), free_port());
        let mut command = Command::new(program);
        // It runs as root only when it is told so.
        command.args(["-l", "127.0.0.1", "-U", "0", "-u", "root", "-m", "64"]);
        command.arg("-p").arg(port.to_string());
        let server = Self::spawn(command, dir, port);
        server.is_up().await;
        Some(server)
    }

    /// Memcached on a socket in its directory.
    pub async fn memcached_on_a_socket() -> Option<Self> {
        let program = find_program("memcached")?;
        let dir = new_dir();
        let mut command = Command::new(program);
        command.args(["-u", "root", "-s"]).arg(dir.join("socket"));
        let server = Self::spawn(command, dir, 0);
        let socket = server.socket();
        wait_until("the cache opens its socket", || async {
            Path::new(&socket).exists()
        })
        .await;
        Some(server)
    }

    fn spawn(mut command: Command, dir: PathBuf, port: u16) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        Self {
            command,
            child,
            dir,
            port,
            opens_a_socket: false,
        }
    }

    async fn is_up(&self) {
        let address = ("127.0.0.1", self.port);
        wait_until("the cache accepts connections", || async {
            TcpStream::connect(address).await.is_ok()
                && (!self.opens_a_socket || UnixStream::connect(self.socket()).await.is_ok())
        })
        .await;
    }

    /// As from a crash of its host.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The same while something else goes on: returns before it has ended.
    pub fn kill_at_once(&mut self) -> u32 {
        let _ = self.child.kill();
        self.child.id()
    }

    /// Sends it a signal: `STOP` in the middle of things, and `CONT` to let it go on.
    pub fn signal(&self, name: &str) {
        // The shell has kill built in; the program of this name is a package of its own.
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name])
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// As its service manager does it.
    pub fn stop(&mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
    }

    /// At the same address, with nothing but what its configuration has it keep.
    pub async fn start_again(&mut self) {
        self.kill();
        self.child = self.command.spawn().unwrap();
        self.is_up().await;
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn socket(&self) -> String {
        self.dir.join("socket").display().to_string()
    }

    /// For the settings.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection to Redis, by a URL of this server's or over its socket.
    pub async fn connect(&self) -> MultiplexedConnection {
        connect(&format!("unix://{}", self.socket())).await
    }

    /// One command to Redis, in words.
    pub async fn ask<T: FromRedisValue>(&self, words: &str) -> RedisResult<T> {
        let mut connection = try_connect(&format!("unix://{}", self.socket())).await?;
        command(words).query_async(&mut connection).await
    }
}

impl Drop for CacheServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A connection for what a test asks.
pub async fn connect(url: &str) -> MultiplexedConnection {
    try_connect(url).await.unwrap()
}

async fn try_connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let patience = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(std::time::Duration::from_secs(10)))
        .set_response_timeout(Some(std::time::Duration::from_secs(20)));
    redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&patience)
        .await
}

pub fn command(words: &str) -> redis::Cmd {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command
}

/// None of those that the system gives to whoever connects somewhere in the meantime.
pub fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(10_000..32_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

fn new_dir() -> PathBuf {
    let name = format!("session-reaper-cache-{:08x}", fastrand::u32(..));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir).unwrap();
    dir
}
