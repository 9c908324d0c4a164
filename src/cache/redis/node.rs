//! One server, connected to when it is needed.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisError, Value};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::address::Address;
use super::super::error::Failure;
use super::super::wire;
use super::Login;

/// A server, and the connection to it while there is a good one.
pub(in crate::cache) struct Node {
    address: Address,
    login: Login,
    connection: Option<Connection>,
}

/// What proves that replicas have followed. WAIT counts the replicas that have what this connection wrote last. Where
/// it wrote nothing, WAIT counts all of them (from Redis 7.2 on, and Valkey). An entry that the app itself, or our
/// earlier try, has already deleted causes no write, and may still be on a replica. So something is written.
#[derive(Clone)]
pub(in crate::cache) struct Following {
    /// How many replicas; 0 needs no proof.
    pub needed: u32,
    /// A key that belongs to no session, for a millisecond.
    pub marker: String,
}

/// A reply, or why there is none.
pub(super) type Reply = Result<Value, redis::ServerError>;

/// A connection does not reconnect by itself: after a reconnect, WAIT would count replicas of something else.
struct Connection {
    commands: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Following {
    /// No replica has to follow a question.
    pub fn nobody() -> Self {
        Self {
            needed: 0,
            marker: String::new(),
        }
    }

    fn add_to(&self, pipeline: &mut Pipeline, deadline: Instant) {
        if self.needed == 0 {
            return;
        }
        let write = pipeline.cmd("SET").arg(&self.marker).arg(0);
        write.arg("PX").arg(1);
        // Half of the time, so that a late replica can be told apart from a server that does not answer.
        let left = deadline.saturating_duration_since(Instant::now()) / 2;
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
        pipeline.cmd("WAIT").arg(self.needed).arg(left);
    }
}

impl Drop for Connection {
    // Over a half-open connection it would try to write for ever.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Node {
    pub fn new(address: Address, login: Login) -> Self {
        Self {
            address,
            login,
            connection: None,
        }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Sends commands and returns the reply to each; those that the server refuses are failures.
    pub(super) async fn ask(
        &mut self,
        pipeline: Pipeline,
        following: &Following,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let replies = self.ask_openly(pipeline, following, deadline).await?;
        let closed = |reply: Reply| reply.map_err(|error| self.failure_of(&error));
        let replies: Vec<_> = replies.into_iter().map(closed).collect();
        if replies.iter().any(Result::is_err) {
            // A demoted master, a user whose rights have changed: the next connection may lead elsewhere.
            self.connection = None;
        }
        Ok(replies)
    }

    /// The same with the server's own words in the replies, which are not to be shown.
    pub(super) async fn ask_openly(
        &mut self,
        mut pipeline: Pipeline,
        following: &Following,
        deadline: Instant,
    ) -> Result<Vec<Reply>, Failure> {
        following.add_to(&mut pipeline, deadline);
        // Taken out: a connection whose replies were not waited for is of no use.
        let taken = self.connection.take();
        let work = async {
            let mut connection = match taken {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let count = pipeline.len();
            let replies = connection
                .commands
                .send_packed_commands(&pipeline, 0, count);
            let replies = replies.await.map_err(|error| self.failure(&error))?;
            Ok((connection, replies))
        };
        let (connection, values) = wire::by(deadline, work).await?;
        self.connection = Some(connection);
        let mut replies: Vec<Reply> = values.into_iter().map(reply).collect();
        if following.needed > 0 {
            let taken = replies.pop().ok_or(Failure::Lost)?;
            let marked = replies.pop().ok_or(Failure::Lost)?;
            marked.map_err(|error| self.failure_of(&error))?;
            self.check_replicas(taken, following.needed)?;
        }
        Ok(replies)
    }

    /// What the server's words mean.
    pub(super) fn failure_of(&self, error: &redis::ServerError) -> Failure {
        Failure::of_reply(error, self.login.from)
    }

    fn check_replicas(&self, reply: Reply, needed: u32) -> Result<(), Failure> {
        match reply {
            Ok(Value::Int(taken)) if taken >= i64::from(needed) => Ok(()),
            Ok(Value::Int(taken)) => Err(Failure::NotReplicated { taken, needed }),
            Ok(_) => Err(Failure::Refuses),
            Err(error) => Err(self.failure_of(&error)),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let wire = wire::connect(&self.address, self.login.tls.as_ref())
            .await
            .map_err(|error| Failure::of_io(&error))?;
        // The deadline of the whole call is the time-out.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&self.login.info, wire, config).await;
        let (commands, driver) = opened.map_err(|error| self.failure(&error))?;
        let mut connection = Connection {
            commands,
            driver: tokio::spawn(driver),
        };
        self.select(&mut connection).await?;
        Ok(connection)
    }

    // The client would do it when it connects, and keep to itself why it failed.
    async fn select(&self, connection: &mut Connection) -> Result<(), Failure> {
        if self.login.database == 0 {
            return Ok(());
        }
        let mut command = redis::cmd("SELECT");
        command.arg(self.login.database);
        let replied = connection.commands.send_packed_command(&command).await;
        match reply(replied.map_err(|error| self.failure(&error))?) {
            Ok(_) => Ok(()),
            Err(error) => Err(match self.failure_of(&error) {
                Failure::Refuses => Failure::NoDatabase,
                failure => failure,
            }),
        }
    }

    fn failure(&self, error: &RedisError) -> Failure {
        Failure::of_redis(error, self.login.from)
    }
}

fn reply(value: Value) -> Reply {
    match value {
        Value::ServerError(error) => Err(error),
        value => Ok(value),
    }
}
