//! The one way to the database for work: a pool of connections, and a bound on every use of one.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod,
    Runtime,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config};

use super::{Connection, Error, Failure, Target};

/// Decides whether a new connection may be used.
pub type Condition = Box<dyn for<'a> Fn(&'a Client) -> Answer<'a> + Send + Sync>;

/// Its decision.
pub type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<bool, tokio_postgres::Error>> + Send + 'a>>;

impl Target {
    /// A pool of connections. They are opened only when they are asked for, so this does not fail on a server that is
    /// not there.
    pub fn database(&self) -> Result<Database, Error> {
        self.build(None)
    }

    /// The same, but only connections that meet this condition are handed out.
    pub fn database_if(&self, may_be_used: Condition) -> Result<Database, Error> {
        let hook = Hook::async_fn(move |client, _| {
            let asked = may_be_used(client);
            Box::pin(async move {
                match asked.await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(HookError::message("")),
                    Err(error) => Err(HookError::Backend(error)),
                }
            })
        });
        self.build(Some(hook))
    }

    fn build(&self, hook: Option<Hook>) -> Result<Database, Error> {
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
        let mut builder = Pool::builder(manager);
        if let Some(hook) = hook {
            builder = builder.post_create(hook);
        }
        builder
            .max_size(self.pool_size)
            .runtime(Runtime::Tokio1)
            // The one that worked last knows the statements and plans already; others have to find out.
            .queue_mode(QueueMode::Lifo)
            // By default, the pool would wait for each of them without end.
            .create_timeout(Some(self.patience))
            .recycle_timeout(Some(self.patience))
            // The holder of a connection gives it back after a transaction; see `work`.
            .wait_timeout(Some(self.longest_transaction()))
            .build()
            .map(Database)
            .map_err(|error| {
                Error::Settings(format!("the pool of connections cannot be set up: {error}"))
            })
    }
}

/// The way to the database for everything that works on it. No worker gets a connection without a bound on how long its
/// work may take: over a half-open one nothing arrives, not even an error, and a worker that waited for it would never
/// work again.
#[derive(Clone, Debug)]
pub struct Database(pub(super) Pool);

impl Database {
    /// Does a transaction's work on a connection, but gives up on a server that has not answered for longer than its own
    /// `statement_timeout` would let it. The work is cancelled then and its connection closed.
    ///
    /// # Errors
    /// Those of the work, that no connection is to be had, and that there was no answer.
    pub async fn work<T>(
        &self,
        work: impl AsyncFnOnce(Object) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.within(async { work(self.0.get().await?).await }).await
    }

    /// A connection to keep over many steps, for a build that holds one snapshot. It has no bound itself, so each step has
    /// to go through [`Self::within`].
    ///
    /// # Errors
    /// That there is none.
    pub async fn hold(&self) -> Result<Object, Error> {
        Ok(self.0.get().await?)
    }

    /// One step on a connection that is held: see [`Self::work`].
    ///
    /// # Errors
    /// Those of the step, and that there was no answer.
    pub async fn within<T>(
        &self,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let longest = self.0.timeouts().wait.unwrap_or(Duration::MAX);
        match timeout(longest, step).await {
            Ok(result) => result,
            Err(_) => {
                // The work gave its connection back when it was cancelled.
                self.discard_idle();
                Err(Error::unanswered())
            }
        }
    }

    /// How many it opens at most.
    pub fn connections(&self) -> usize {
        self.0.status().max_size
    }

    /// Drops useless connections after an error, before another try. Connections to a server that was demoted, or to
    /// none any more, look like good ones until they are used. So do those that know a statement whose result the
    /// schema has changed since.
    pub fn drop_useless(&self, error: &Error) {
        if error.is_read_only() || error.is_outdated() || matches!(error, Error::HeartbeatLost) {
            self.discard_idle();
        }
    }

    /// Nothing but connecting again finds the primary.
    fn discard_idle(&self) {
        self.0.retain(|_, _| false);
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

// deadpool would log the driver's own words, which include the server's DETAIL (P7). The caller that used the
// connection has its error, and no caller misses an idle one.
async fn drive(connection: Connection) {
    if let Err(error) = connection.await {
        let failure = Failure::from(&error);
        tracing::debug!("a pooled connection to the database was lost: {failure}");
    }
}
