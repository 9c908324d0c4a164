//! The pool of connections for work.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config};

use super::{Connection, Error, Failure, Target};

impl Target {
    /// The pool. It opens connections only when they are asked for, so this does not fail on a server that is
    /// not there.
    pub fn pool(&self) -> Result<Pool, Error> {
        // What follows is ignored by the connector below; deadpool only shows it, without the password.
        let config = self.hosts.first().map(|host| host.config().clone());
        let manager = Manager::from_connect(
            config.unwrap_or_default(),
            Connector(self.clone()),
            // Nothing is sent to test a connection: a broken one fails its first statement, which is tried again.
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        Pool::builder(manager)
            .max_size(self.pool_size)
            .runtime(Runtime::Tokio1)
            // By default, each of them would be waited for without end.
            .create_timeout(Some(self.patience))
            .recycle_timeout(Some(self.patience))
            // Whoever holds a connection gives it back after a transaction; see `answered`.
            .wait_timeout(Some(self.longest_transaction()))
            .build()
            .map_err(|error| {
                Error::Settings(format!("the pool of connections cannot be set up: {error}"))
            })
    }
}

/// Closes a pooled connection instead of giving it back: one that said 25006 leads to a server that was demoted,
/// and nothing but connecting again finds the primary.
pub fn discard(object: Object) {
    drop(Object::take(object));
}

/// Closes every connection of a pool that nobody is using, after one of them turned out to lead to a server
/// that was demoted.
pub fn discard_idle(pool: &Pool) {
    pool.retain(|_, _| false);
}

/// What is done about an error before another try: connections that lead to a server that was demoted, or
/// nowhere any more, look no different from good ones until they are used.
pub fn drop_useless(pool: &Pool, error: &Error) {
    if error.is_read_only() || matches!(error, Error::HeartbeatLost) {
        discard_idle(pool);
    }
}

/// Does a transaction's work, but gives up on a server that has not answered for longer than its own
/// `statement_timeout` would let it: over a half-open connection nothing arrives, not even an error, and whoever
/// waited for it would never work again. The work is cancelled and its connection closed.
///
/// # Errors
/// Those of the work, and that there was no answer.
pub async fn answered<T>(
    pool: &Pool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let longest = pool.timeouts().wait.unwrap_or(Duration::MAX);
    match timeout(longest, work).await {
        Ok(result) => result,
        Err(_) => {
            // The work gave its connection back when it was cancelled.
            discard_idle(pool);
            Err(Error::unanswered())
        }
    }
}

/// Connects like the listening connection does, host by host and with the session set up, which deadpool's own
/// connector does not do under its time-out.
struct Connector(Target);

type Opening<'a> = Pin<
    Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>,
>;

impl Connect for Connector {
    fn connect(&self, _: &Config) -> Opening<'_> {
        Box::pin(async {
            let (client, connection) = self.0.try_hosts(&self.0.options).await?;
            Ok((client, tokio::spawn(drive(connection))))
        })
    }
}

// deadpool would log the driver's own words, which include the server's DETAIL (P7).
async fn drive(connection: Connection) {
    if let Err(error) = connection.await {
        let failure = Failure::from(&error);
        tracing::warn!("a pooled connection to the database was lost: {failure}");
    }
}
