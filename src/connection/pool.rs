//! The pool of connections for work.

use std::future::Future;
use std::pin::Pin;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::task::JoinHandle;
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
            // Whoever holds a connection gives it back after a statement or two.
            .wait_timeout(Some(self.statement_timeout.saturating_add(self.patience)))
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

/// What a worker does about an error before it tries again: after a demotion, look for the primary anew.
pub fn drop_demoted(pool: &Pool, error: &Error) {
    if error.is_read_only() {
        discard_idle(pool);
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
            let (client, connection) = self.0.try_hosts().await?;
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
