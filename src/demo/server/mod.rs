//! A throw-away PostgreSQL server: a private directory, a Unix socket in it, gone when dropped.
//!
//! It is a direct child in a process group of its own, so that Ctrl-C reaches only us, and a watchdog ends it when this
//! process is killed. Authentication is `trust`: no other user can enter the directory of the socket. With
//! [`Options::tcp`], every user of the machine can connect; that is for tests.

mod account;
mod binaries;
mod cluster;
mod error;
mod postmaster;
mod watchdog;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

// For a server that something else starts, such as Patroni in the tests.
pub use account::Account;
pub use binaries::find as find_programs;
pub use cluster::private_directory;
pub use error::Error;
pub use watchdog::Watchdog;

use crate::settings::Environment;
use cluster::Cluster;
use postmaster::Postmaster;

/// What a server should be like; by default it is reached through its socket alone.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Listen on 127.0.0.1 as well, on a free port.
    pub tcp: bool,
    /// Lines for `postgresql.conf`, such as `fsync = off`.
    pub conf: Vec<String>,
    /// Variables of its environment.
    pub variables: Vec<(String, String)>,
}

/// How a server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Waits for every client to leave.
    Smart,
    /// Disconnects the clients.
    Fast,
    /// Drops everything, as a crash does; the next start recovers.
    Immediate,
}

/// A running server. Dropping it stops it and removes every trace.
pub struct Server {
    // The order matters: fields are dropped in it, and the directory goes last.
    postmaster: Option<Postmaster>,
    cluster: Cluster,
    port: u16,
    _watchdog: Watchdog,
}

impl Server {
    /// Creates a cluster and starts it; returns when it accepts connections. Blocks for about a second.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let bin_dir = binaries::find(&Environment::of_process())?;
        let dir = cluster::private_directory()?;
        let watchdog = Watchdog::over(&dir)?;
        let port = if options.tcp { free_port(&dir)? } else { 5432 };
        let cluster = Cluster::create(bin_dir, dir, port, options)?;
        Ok(Self {
            postmaster: Some(Postmaster::start(&cluster)?),
            cluster,
            port,
            _watchdog: watchdog,
        })
    }

    /// A standby that streams from this server, which has to run: a copy of its data and settings that takes no
    /// writes until it is promoted (`select pg_promote()`).
    pub fn standby(&self) -> Result<Self, Error> {
        self.standby_with(self.cluster.variables.clone())
    }

    /// The same with other variables in its environment.
    pub fn standby_with(&self, variables: Vec<(String, String)>) -> Result<Self, Error> {
        let dir = cluster::private_directory()?;
        let watchdog = Watchdog::over(&dir)?;
        let port = free_port(&dir)?;
        let mut cluster = Cluster::copy(&self.cluster, &self.url("postgres"), dir, port)?;
        cluster.variables = variables;
        Ok(Self {
            postmaster: Some(Postmaster::start(&cluster)?),
            cluster,
            port,
            _watchdog: watchdog,
        })
    }

    /// Starts it after [`Server::stop`], on the same data, socket and port.
    pub fn start_again(&mut self) -> Result<(), Error> {
        if self.postmaster.is_none() {
            self.postmaster = Some(Postmaster::start(&self.cluster)?);
        }
        Ok(())
    }

    /// Stops it and waits until it has ended; the data stay.
    pub fn stop(&mut self, mode: Shutdown) -> Result<(), Error> {
        if let Some(postmaster) = &mut self.postmaster {
            postmaster.stop(&self.cluster, mode)?;
        }
        self.postmaster = None;
        Ok(())
    }

    /// Stops it fast and starts it again.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop(Shutdown::Fast)?;
        self.start_again()
    }

    /// The directory of the Unix socket, which clients take for a host name.
    pub fn socket_dir(&self) -> &Path {
        &self.cluster.dir
    }

    /// The port, which is also part of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.cluster.data_dir()
    }

    /// Where the server's programs are; `psql` and `createdb` are beside them.
    pub fn bin_dir(&self) -> &Path {
        &self.cluster.bin_dir
    }

    /// Everything that the server has logged so far.
    pub fn log(&self) -> String {
        self.cluster.log()
    }

    /// The process that runs the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Postmaster::pid)
    }

    /// The superuser's way into a database, over the socket. More parameters can be appended with `&`.
    pub fn url(&self, database: &str) -> String {
        self.url_over(&self.socket_dir().to_string_lossy(), database)
    }

    /// The same over TCP, for a server that was started with [`Options::tcp`].
    pub fn tcp_url(&self, database: &str) -> String {
        self.url_over("127.0.0.1", database)
    }

    fn url_over(&self, host: &str, database: &str) -> String {
        format!(
            "postgresql:///{database}?host={host}&port={}&user=postgres",
            self.port
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // On a failure the postmaster's own drop kills it.
        let _ = self.stop(Shutdown::Immediate);
    }
}

// The port can be taken by another process before the server binds it; then the start fails and says so.
fn free_port(dir: &Path) -> Result<u16, Error> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port for the server in", dir))
}

#[cfg(test)]
mod tests;
