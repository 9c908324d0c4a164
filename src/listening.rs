//! One listening connection: opened, checked, read from.

use std::{future::poll_fn, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::{AsyncMessage, Client, Connection, Notification};

use crate::{
    connection::{self, Error, Target},
    listener::{CHANNEL, HEARTBEAT_CHANNEL},
    schema::LOCK_CLASS,
};

/// Notifications that wait to be looked at. More are dropped: a lost hint is found by polling, and a lost
/// heartbeat by the next one.
const MOST_WAITING: usize = 10_000;

/// A connection that listens. Dropping it closes the socket, and with it goes the serving lock.
pub struct Listening {
    client: Client,
    notifications: mpsc::Receiver<Notification>,
    driver: JoinHandle<Option<tokio_postgres::Error>>,
}

/// What has arrived.
pub enum Heard {
    /// Nothing until the deadline.
    Nothing,
    /// A heartbeat's token.
    Heartbeat(String),
    /// There is something to look at.
    Change,
    /// Somebody asks by hand.
    Request(String),
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
            "-- listening::open
            listen {CHANNEL}; listen {HEARTBEAT_CHANNEL}"
        );
        listening.send(&listen, patience).await?;
        Ok(listening)
    }

    /// Takes the lock by which changing transactions know that a daemon serves them (P4).
    ///
    /// Under a number that the server draws anew each time, and well, because our tokens can be heard by anybody: any
    /// role may take any advisory lock, and one that held a known number would keep every daemon off. With an 8 in
    /// front it is none of the fixed numbers.
    pub async fn declare_serving(&self, patience: Duration) -> Result<(), Error> {
        let lock = format!(
            "-- listening::declare_serving
            select pg_advisory_lock_shared(
                {LOCK_CLASS}, ('x8' || left(pg_catalog.gen_random_uuid()::text, 7))::bit(32)::integer)"
        );
        self.send(&lock, patience).await
    }

    /// Lets go of it, which is the only one that this connection has.
    pub async fn stop_serving(&self, patience: Duration) -> Result<(), Error> {
        let unlock = "-- listening::stop_serving
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

    /// Takes the listening back. Behind a pooler in transaction mode it stays on a connection that the app may get
    /// next, which would then hear what it did not ask for.
    pub async fn stop_listening(&self, patience: Duration) -> Result<(), Error> {
        let statement = format!(
            "-- listening::stop_listening
            unlisten {CHANNEL}; unlisten {HEARTBEAT_CHANNEL}"
        );
        self.send(&statement, patience).await
    }

    /// A round trip that returns no row: an unread row would hold up the notifications behind it.
    pub async fn check(&self) -> Result<(), Error> {
        Ok(self.client.check_connection().await?)
    }

    /// The next thing that arrives before the deadline.
    pub async fn next(&mut self, deadline: Instant) -> Result<Heard, Error> {
        match timeout_at(deadline, self.notifications.recv()).await {
            Err(_) => Ok(Heard::Nothing),
            Ok(Some(notification)) => Ok(sort(&notification)),
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

/// Refuses a pooler in transaction mode, which is found out like by the listener: what another connection sends does
/// not arrive.
///
/// # Errors
/// That one stands in between, or that the database cannot be reached.
pub async fn check_direct(target: &Target, patience: Duration) -> Result<(), Error> {
    let mut listening = Listening::on(target.connect().await?, patience).await?;
    let (client, connection) = target.connect().await?;
    let driver = tokio::spawn(connection);
    let token = format!("{:016x}", fastrand::u64(..));
    // As in the heartbeat: once this round trip has ended, a pooler cannot deliver the token into it.
    listening.check().await?;
    client
        .execute(
            "-- listening::check_direct
            select pg_notify($1, $2)",
            &[&HEARTBEAT_CHANNEL, &token],
        )
        .await?;
    drop(client);
    let _ = driver.await;
    let deadline = Instant::now() + patience;
    loop {
        match listening.next(deadline).await? {
            Heard::Heartbeat(heard) if heard == token => return Ok(()),
            Heard::Nothing => break,
            _ => {}
        }
    }
    listening.stop_listening(patience).await?;
    let target = target.describe();
    Err(Error::Pooler { target })
}

fn sort(notification: &Notification) -> Heard {
    let payload = notification.payload();
    if notification.channel() == HEARTBEAT_CHANNEL {
        Heard::Heartbeat(payload.to_owned())
    } else if payload.is_empty() {
        Heard::Change
    } else {
        Heard::Request(payload.to_owned())
    }
}

/// Notifications come out of `poll_message` only; awaiting the connection would throw them away.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    sender: mpsc::Sender<Notification>,
) -> Option<tokio_postgres::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio_postgres::tls::TlsStream + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                let _ = sender.try_send(notification);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Some(error),
            None => return None,
        }
    }
}
