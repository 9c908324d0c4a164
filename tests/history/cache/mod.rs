//! A cache beside the session table, as Django's `cached_db` has it: the site's clients fill it and are answered from it
//! without anybody asking the table. What a settled revocation had to end must not be in it (P5).
//!
//! An entry that vanishes is no loss, since it is a cache. One that was filled later than the longest request may take
//! proves nothing: that the grace is longer than that is what the promise rests on. Such sessions are let off, by the
//! client's own clock, and counted.

mod broken;
mod entries;
mod look;
mod server;

use std::time::Duration;

use fastrand::Rng;
use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::time::sleep;

use crate::{
    ledger::Micros,
    proxy::{Proxy, Weather},
    world::World,
};
use server::Server;

pub use entries::{Entries, Named};
pub use look::{left_over, watch};
pub use server::is_installed;

/// As the daemons have it.
const REFILL_GRACE_S: u64 = 2;
/// No request that counts fills the cache later than this after the row was last there for certain.
pub const LONGEST_REQUEST: Micros = 1_800_000;

/// The cache, and the network between it and the daemons.
pub struct Cache {
    server: Server,
    proxy: Proxy,
}

impl Cache {
    pub async fn start() -> Self {
        let server = Server::start().await;
        let proxy = Proxy::start(server.port).await;
        Self { server, proxy }
    }

    /// What the daemons' settings say of it.
    pub fn settings(&self) -> String {
        format!(
            "
[cache]
kind = \"redis\"
servers = [\"redis://127.0.0.1:{}\"]
key = \"{{key_prefix}}:{{version}}:django.contrib.sessions.cached_db{{session_key}}\"
timeout_s = 2
refill_grace_s = {REFILL_GRACE_S}
",
            self.proxy.port
        )
    }

    /// How the site's clients reach it: directly.
    pub fn address(&self) -> Address {
        let url = format!("redis://127.0.0.1:{}", self.server.port);
        Address(redis::Client::open(url).unwrap())
    }

    /// One fault, and what comes after it.
    pub async fn strike(&mut self, rng: &mut Rng, world: &World) {
        let note = |what: &str| world.ledger.books().count(&format!("fault: {what}"));
        match rng.u32(0..100) {
            0..30 => {
                note("cache killed, and empty when it came back");
                self.server.kill();
                sleep(Duration::from_millis(rng.u64(0..1500))).await;
                self.server.start_again().await;
            }
            30..60 => {
                note("cache frozen");
                self.server.signal("STOP");
                sleep(Duration::from_millis(rng.u64(50..3500))).await;
                self.server.signal("CONT");
            }
            60..75 => {
                note("cache: connections cut");
                self.proxy.strike(Weather::Cut);
            }
            75..90 => {
                note("cache: connections stalled");
                let length = Duration::from_millis(rng.u64(100..3000));
                self.proxy.strike(Weather::Stall(length));
            }
            _ => {
                note("cache: black hole");
                let length = Duration::from_millis(rng.u64(1000..6000));
                self.proxy.strike(Weather::Silence(length));
            }
        }
    }
}

/// Where clients find the cache.
#[derive(Clone)]
pub struct Address(redis::Client);

impl Address {
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // Longer than any freeze: only what never comes has no answer.
        let patience = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(6)))
            .set_response_timeout(Some(Duration::from_secs(6)));
        self.0
            .get_multiplexed_async_connection_with_config(&patience)
            .await
    }
}

impl Address {
    /// As an operator does where what is cached may be of a server that is lost.
    pub async fn empty(&self) {
        let mut cache = self.connect().await.expect("the cache");
        let emptied = redis::cmd("FLUSHALL").query_async::<()>(&mut cache).await;
        emptied.expect("an empty cache");
    }
}

/// What stands before a session's key in the name of its entry.
const BEFORE_KEY: &str = ":1:django.contrib.sessions.cached_db";

/// What Django calls the entry of a session.
pub fn entry(session_key: &str) -> String {
    format!("{BEFORE_KEY}{session_key}")
}
