//! The way to the database: which one, how it is encrypted, one connection or a pool of them.
//!
//! Everything that the rest of the daemon must not have to think about is here: libpq's variables and
//! meanings, time-outs around every step, the settings of a session, and errors that never show a secret (P7).

mod error;
mod failure;
mod host;
mod parameters;
mod passfile;
mod pool;
pub mod prepared;
mod source;
mod startup;
mod statement;
mod target;
mod tls;

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use error::{Error, is_lost_lock};
pub use failure::Failure;
pub use pool::{Answer, Database};
pub use source::named_by;
pub use target::Target;
pub(crate) use tls::verifying;

/// The half of a connection that has to be polled, and that notifications come out of.
pub type Connection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

impl Target {
    /// Opens one connection, with its session set up. One time-out spans everything, because the driver's own
    /// covers the TCP connect alone: a server that accepts and never answers would hang the daemon.
    pub async fn connect(&self) -> Result<(Client, Connection), Error> {
        self.connect_with(&self.options).await
    }

    /// The same for a connection that only listens: the server ends it by itself after this time of silence.
    pub async fn connect_idle(&self, at_most: Duration) -> Result<(Client, Connection), Error> {
        let options = format!("{} {}", self.options, startup::idle_option(at_most));
        self.connect_with(&options).await
    }

    /// The same for a connection on which nothing may take longer than this: the client that asked has left by then.
    pub async fn connect_briefly(&self, at_most: Duration) -> Result<(Client, Connection), Error> {
        let options = format!("{} {}", self.options, startup::statement_option(at_most));
        self.connect_with(&options).await
    }

    async fn connect_with(&self, options: &str) -> Result<(Client, Connection), Error> {
        let failure = match timeout(self.patience, self.try_hosts(options)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => Failure::from(&error),
            Err(_) => Failure::timeout(),
        };
        Err(Error::Connect {
            target: self.describe_failed(),
            failure,
        })
    }

    // Host by host, so that one that accepts and never answers costs its share of the time and not all of it. The last
    // one is not limited here: the caller does that.
    async fn try_hosts(
        &self,
        options: &str,
    ) -> Result<(Client, Connection), tokio_postgres::Error> {
        let hosts = self.hosts_to_try();
        // Resolving a target ends with one host at least: the usual socket.
        let (last, others) = hosts.split_last().expect("a target has a host");
        for host in others {
            if let Ok(Ok(connected)) = timeout(self.share(), host.connect(options)).await {
                return Ok(connected);
            }
        }
        last.connect(options).await
    }
}
