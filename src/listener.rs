//! Hears of changes, and makes sure that it would.
//!
//! One connection that does nothing but listen. After every connect: LISTEN, then ring, because what was
//! notified in between is lost; the table still has it. A listening connection is only ever read from, so a
//! dead one looks like a quiet one: a heartbeat, sent through another connection, has to come back through
//! this one. That also finds out a connection pooler in transaction mode, behind which everything looks
//! well from the inside while notifications go to somebody else.
//!
//! Only a connection whose heartbeat has come back holds the lock that says "this database is served" (P4), and
//! only while the revoker gets anywhere.
//! Whatever happens here, the workers go on polling.

use std::{convert::Infallible, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    backoff::Backoff,
    bell::Bell,
    connection::{self, Error, Pool, Target},
    fitness::Fitness,
    listening::{Heard, Listening},
    shutdown::Stop,
    supervisor::Supervisor,
    worker::InForce,
};

/// Where changes and requests by hand arrive.
pub const CHANNEL: &str = "session_reaper";
/// Where the heartbeats of all daemons of this database arrive, each with a token of its own.
pub const HEARTBEAT_CHANNEL: &str = "session_reaper_heartbeat";

/// Listens; see the module.
pub struct Listener {
    /// Where to listen.
    pub target: Target,
    /// What sends the heartbeat.
    pub pool: Pool,
    /// How often.
    pub settings: InForce,
    /// Rung when there may be something to revoke.
    pub revoker: Bell,
    /// Takes what was asked for by hand.
    pub requests: mpsc::Sender<String>,
    /// Whether what is rung for comes to anything.
    pub fitness: Fitness,
    /// Hears whether the heartbeat came back.
    pub supervisor: Supervisor,
}

impl Listener {
    /// Listens until it is time to stop, on one connection after the other.
    pub async fn run(self, stop: Stop) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(15));
        while let Some(Err(error)) = stop.run_until_stopped(self.listen(&mut backoff)).await {
            let rest = backoff.next();
            self.supervisor.lost(&error);
            tracing::warn!(
                %error,
                retry_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX),
                "not listening; until the connection is back, changes are found by polling"
            );
            connection::drop_useless(&self.pool, &error);
            stop.run_until_stopped(tokio::time::sleep(rest)).await;
        }
    }

    /// One connection's life. Returns only when it is lost.
    async fn listen(&self, backoff: &mut Backoff) -> Result<Infallible, Error> {
        let mut connection = Listening::open(&self.target, self.heartbeat_every()).await?;
        // From here on everything is heard; what was notified before is in the table.
        self.revoker.ring();
        self.beat(&mut connection).await?;
        let mut serves = self.serve_if_fit(&connection, false).await?;
        backoff.reset();
        tracing::info!("listening");
        loop {
            self.hear(
                &mut connection,
                Instant::now() + self.heartbeat_every(),
                None,
            )
            .await?;
            self.beat(&mut connection).await?;
            serves = self.serve_if_fit(&connection, serves).await?;
        }
    }

    /// Takes the lock that says "served", or lets go of it while revoking comes to nothing (P4). Whatever makes
    /// this role's sweeps fail need not concern those of the changing transaction, which are the owner's.
    async fn serve_if_fit(&self, connection: &Listening, serves: bool) -> Result<bool, Error> {
        let is_fit = self.fitness.is_fit();
        match (serves, is_fit) {
            (false, true) => connection.declare_serving(self.heartbeat_every()).await?,
            (true, false) => connection.stop_serving(self.heartbeat_every()).await?,
            _ => {}
        }
        Ok(is_fit)
    }

    fn heartbeat_every(&self) -> Duration {
        Duration::from_secs(self.settings.now().listen.heartbeat_s)
    }

    /// Sends a token through the pool and waits for it here.
    async fn beat(&self, connection: &mut Listening) -> Result<(), Error> {
        let begun = Instant::now();
        let deadline = begun + self.heartbeat_every();
        let token = format!("{:016x}", fastrand::u64(..));
        timeout(self.heartbeat_every(), async {
            // Before the token is sent: a pooler in transaction mode could deliver it into this round trip, and
            // once it has ended, it cannot.
            connection.check().await?;
            self.send(&token).await
        })
        .await
        .map_err(|_| Error::HeartbeatLost)??;
        if !self.hear(connection, deadline, Some(&token)).await? {
            connection.stop_listening(self.heartbeat_every()).await?;
            return Err(Error::NotDelivered);
        }
        self.supervisor
            .alive(begun.elapsed(), self.fitness.is_fit());
        Ok(())
    }

    /// A server that may be notified but not written to was demoted, or is about to be: who only hears there does
    /// not serve.
    async fn send(&self, token: &str) -> Result<(), Error> {
        let client = self.pool.get().await?;
        let sent = client
            .execute(
                "-- listener::send
                select pg_notify($1, $2) where not current_setting('transaction_read_only')::boolean",
                &[&HEARTBEAT_CHANNEL, &token],
            )
            .await?;
        if sent == 0 {
            return Err(Error::read_only());
        }
        Ok(())
    }

    /// Passes on what arrives, until the deadline or until the token does: then says so.
    async fn hear(
        &self,
        connection: &mut Listening,
        deadline: Instant,
        token: Option<&str>,
    ) -> Result<bool, Error> {
        loop {
            match connection.next(deadline).await? {
                Heard::Nothing => return Ok(false),
                Heard::Heartbeat(heard) if Some(heard.as_str()) == token => return Ok(true),
                // Another daemon's, or one of ours that came too late.
                Heard::Heartbeat(_) => {}
                Heard::Change => self.revoker.ring(),
                Heard::Request(payload) => self.pass_on(payload),
            }
        }
    }

    fn pass_on(&self, payload: String) {
        if !self.settings.now().listen.hand_requests {
            tracing::warn!("a request by NOTIFY was ignored, because listen.hand_requests is off");
        } else if self.requests.try_send(payload).is_err() {
            tracing::warn!("a request by NOTIFY was dropped, because too many are waiting");
        }
    }
}
