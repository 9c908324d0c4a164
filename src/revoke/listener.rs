//! Hears of changes, and makes sure that it would.
//!
//! One connection that does nothing but listen. After every connect: LISTEN, then ring, because what was notified in
//! between is lost; the table still has it. A listening connection is only ever read from, so a dead one looks like a
//! quiet one: a heartbeat, sent through another connection, has to come back through this one. That also finds out a
//! connection pooler in transaction mode, behind which everything looks well from the inside while notifications go to
//! another client.
//!
//! Only a connection whose heartbeat has come back holds the lock that says "this database is served" (P4), and only
//! while the revoker makes progress. Whatever happens here, the workers go on polling.

use std::{convert::Infallible, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    channel::{
        Listening,
        heard::Heard,
        token::{Quiet, Sent, send_token},
    },
    requester::{Refusal, Refused},
};
use crate::{
    connection::{self, Database, Error, Target},
    process::{fitness::Fitness, repeated::Repeated, service_manager::Supervisor, shutdown::Stop},
    schema,
    worker::{InForce, backoff::Backoff, bell::Bell},
};

/// Listens; see the module.
pub struct Listener {
    /// Where to listen.
    pub target: Target,
    /// What sends the heartbeat.
    pub database: Database,
    /// How often.
    pub settings: InForce,
    /// Rung when there may be something to revoke.
    pub revoker: Bell,
    /// Takes what was asked for by hand.
    pub requests: mpsc::Sender<String>,
    /// Whether the revoker makes progress.
    pub fitness: Fitness,
    /// Hears whether the heartbeat came back.
    pub supervisor: Supervisor,
    /// Hears of requests by hand that come to nothing.
    pub refused: Refused,
}

impl Listener {
    /// Listens until it is time to stop, on one connection after the other.
    pub async fn run(self, stop: Stop) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(15));
        let complaints = Repeated::default();
        while let Some(Err(error)) = stop.run_until_stopped(self.listen(&mut backoff)).await {
            let rest = backoff.next();
            self.supervisor.lost(&error);
            if let Some(times) = complaints.count_of(&error.to_string()) {
                tracing::warn!(
                    %error,
                    times,
                    retry_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX),
                    "not listening; until the connection is back, changes are found by polling"
                );
            }
            self.database.drop_useless(&error);
            stop.run_until_stopped(tokio::time::sleep(rest)).await;
        }
    }

    /// One connection's life. Returns only when it is lost.
    async fn listen(&self, backoff: &mut Backoff) -> Result<Infallible, Error> {
        let mut connection = Listening::open(&self.target, self.heartbeat_every()).await?;
        // Behind the same address there may be another server by now.
        self.database
            .work(async |client| schema::adopt_ids(&**client).await)
            .await?;
        // From here on everything is heard; what was notified before is in the table.
        self.revoker.ring();
        let mut quiet = None;
        self.beat(&mut connection, &mut quiet).await?;
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
            self.beat(&mut connection, &mut quiet).await?;
            self.refused.say_left_over();
            serves = self.serve_if_fit(&connection, serves).await?;
        }
    }

    /// Takes the lock that says "served", or releases it while revoking fails (P4). Whatever makes this role's sweeps
    /// fail need not affect those of the changing transaction, which run as the owner.
    async fn serve_if_fit(&self, connection: &Listening, serves: bool) -> Result<bool, Error> {
        let is_fit = self.fitness.is_fit();
        match (serves, is_fit) {
            (false, true) => {
                connection.declare_serving(self.heartbeat_every()).await?;
                connection.enrol(self.heartbeat_every()).await;
            }
            (true, false) => connection.stop_serving(self.heartbeat_every()).await?,
            _ => {}
        }
        Ok(is_fit)
    }

    fn heartbeat_every(&self) -> Duration {
        Duration::from_secs(self.settings.now().listen.heartbeat_s)
    }

    /// Sends a token through another connection and waits for it here; where nothing was written since the last one,
    /// the round trips have to do.
    async fn beat(
        &self,
        connection: &mut Listening,
        quiet: &mut Option<Quiet>,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let deadline = begun + self.heartbeat_every();
        let token = format!("{:016x}", fastrand::u64(..));
        let sent = timeout(self.heartbeat_every(), async {
            // Before the token is sent: a pooler in transaction mode could deliver the token into this round trip, and
            // can no longer once this has ended.
            connection.round_trip().await?;
            self.send(&token, quiet.as_ref()).await
        })
        .await
        .map_err(|_| Error::HeartbeatLost)??;
        // Without room for a token, the round trip alone has to prove that the connection lives.
        if let Sent::OnItsWay(quiet_from) = sent {
            if !self.hear(connection, deadline, Some(&token)).await? {
                connection::prepared::are_our_own(false);
                connection.stop_listening(self.heartbeat_every()).await?;
                return Err(Error::NotDelivered);
            }
            connection::prepared::are_our_own(true);
            *quiet = quiet_from;
        }
        self.supervisor.alive(begun.elapsed(), &self.fitness);
        Ok(())
    }

    async fn send(&self, token: &str, quiet: Option<&Quiet>) -> Result<Sent, Error> {
        self.database
            .work(async |client| send_token(&client, token, quiet).await)
            .await
    }

    /// Passes on what arrives, until the deadline or until the token arrives; returns whether it did.
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
                Heard::Request(payload) => self.pass_on(Some(payload)),
                Heard::TooLong => self.pass_on(None),
            }
        }
    }

    /// None is a payload that is too long for the key of a user.
    fn pass_on(&self, payload: Option<String>) {
        if !self.settings.now().listen.hand_requests {
            self.refused.count(Refusal::Off);
        } else if let Some(payload) = payload {
            if self.requests.try_send(payload).is_err() {
                self.refused.count(Refusal::TooMany);
            }
        } else {
            self.refused.count(Refusal::NoUser);
        }
    }
}
