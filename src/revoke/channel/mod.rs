//! One listening connection: opened, checked, read from.

pub mod direct;
pub mod heard;
pub mod token;

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::Client;

use heard::{Heard, drive};

use crate::{
    connection::{self, Error, Target},
    schema::LOCK_CLASS,
};

/// Where changes and requests by hand arrive.
pub const CHANNEL: &str = "session_reaper";
/// Where the heartbeats of all daemons of this database arrive, each with its own token.
pub const HEARTBEAT_CHANNEL: &str = "session_reaper_heartbeat";

/// Notifications that wait to be looked at. More are dropped: a lost hint is found by polling, and a lost
/// heartbeat by the next one.
const MOST_WAITING: usize = 10_000;

/// A connection that listens. Dropping it closes the socket, and with it goes the serving lock.
pub struct Listening {
    client: Client,
    notifications: mpsc::Receiver<Heard>,
    driver: JoinHandle<Option<tokio_postgres::Error>>,
}

impl Listening {
    /// Connects and listens. The server ends the connection by itself when it has heard nothing for three
    /// heartbeats: a stopped process or a dead host would otherwise hold the serving lock until TCP notices.
    pub async fn open(target: &Target, heartbeat_every: Duration) -> Result<Self, Error> {
        let idle = heartbeat_every.saturating_mul(3);
        Self::on(target.connect_idle(idle).await?, heartbeat_every).await
    }

    /// Listens on a connection.
    async fn on(
        (client, connection): (Client, connection::Connection),
        patience: Duration,
    ) -> Result<Self, Error> {
        let (sender, notifications) = mpsc::channel(MOST_WAITING);
        let driver = tokio::spawn(drive(connection, sender));
        let listening = Self {
            client,
            notifications,
            driver,
        };
        let listen = format!(
            "-- revoke::channel::on
            listen {CHANNEL}; listen {HEARTBEAT_CHANNEL}"
        );
        listening.send(&listen, patience).await?;
        Ok(listening)
    }

    /// Takes the lock by which changing transactions know that a daemon serves them (P4).
    ///
    /// The server draws its number anew each time, and unpredictably, because any role can hear our tokens: any role
    /// may take any advisory lock, and one that held a known number would keep every daemon off. With an 8 in front it
    /// is none of the fixed numbers.
    pub async fn declare_serving(&self, patience: Duration) -> Result<(), Error> {
        let lock = format!(
            "-- revoke::channel::declare_serving
            select pg_advisory_lock_shared(
                {LOCK_CLASS}, ('x8' || left(pg_catalog.gen_random_uuid()::text, 7))::bit(32)::integer)"
        );
        self.send(&lock, patience).await
    }

    /// Records who serves here, for people. A daemon that cannot record it serves all the same; the next heartbeat
    /// finds out a lost connection.
    pub async fn enrol(&self, patience: Duration) {
        let enrol = format!(
            "-- revoke::channel::enrol
            select session_reaper.enrol('{}', '{}')",
            host(),
            env!("CARGO_PKG_VERSION")
        );
        if let Err(error) = self.send(&enrol, patience).await {
            tracing::debug!(%error, "could not say who serves");
        }
    }

    /// Releases the lock, which is the only one that this connection has.
    pub async fn stop_serving(&self, patience: Duration) -> Result<(), Error> {
        let unlock = "-- revoke::channel::stop_serving
            select pg_advisory_unlock_all()";
        self.send(unlock, patience).await
    }

    /// A connection can turn half-open between any two statements.
    async fn send(&self, statements: &str, patience: Duration) -> Result<(), Error> {
        timeout(patience, self.client.batch_execute(statements))
            .await
            .map_err(|_| Error::HeartbeatLost)??;
        Ok(())
    }

    /// Takes the LISTEN back. Behind a pooler in transaction mode it would stay on a connection that the app may get
    /// next, and the app would then hear what it did not ask for.
    pub async fn stop_listening(&self, patience: Duration) -> Result<(), Error> {
        let statement = format!(
            "-- revoke::channel::stop_listening
            unlisten {CHANNEL}; unlisten {HEARTBEAT_CHANNEL}"
        );
        self.send(&statement, patience).await
    }

    /// A round trip that returns no row: an unread row would hold up the notifications behind it.
    pub async fn round_trip(&self) -> Result<(), Error> {
        Ok(self.client.check_connection().await?)
    }

    /// The next thing that arrives before the deadline.
    pub async fn next(&mut self, deadline: Instant) -> Result<Heard, Error> {
        match timeout_at(deadline, self.notifications.recv()).await {
            Err(_) => Ok(Heard::Nothing),
            Ok(Some(heard)) => Ok(heard),
            Ok(None) => Err(self.cause().await),
        }
    }

    async fn cause(&mut self) -> Error {
        match (&mut self.driver).await {
            Ok(Some(error)) => error.into(),
            _ => Error::Closed,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // A client that is merely dropped says goodbye on a socket that may be dead, and waits.
        self.driver.abort();
    }
}

/// What this machine calls itself. Only characters that a name may have get into a statement.
fn host() -> String {
    let name = whoami::hostname().unwrap_or_default();
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "-._".contains(*letter);
    name.chars().filter(is_plain).collect()
}
