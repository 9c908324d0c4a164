//! Redis and Valkey: which servers, and what an eviction sends to them.
//!
//! `UNLINK` in batches, all of them in one pipeline: a batch is what the server does without serving the site's own
//! requests in between (P6), and it takes no longer for entries that are large.

mod cluster;
mod node;
mod sentinel;

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Pipeline, RedisConnectionInfo};
use rustls::ClientConfig;
use tokio::time::Instant;

use super::Error;
use super::address::Address;
use super::error::Failure;

pub(super) use cluster::Cluster;
pub(super) use node::{Following, Node};
pub(super) use sentinel::Sentinel;

/// Entries in one command: about half a millisecond of the server's time.
const BATCH: usize = 1000;

/// How a server is logged in to.
#[derive(Clone)]
pub(super) struct Login {
    /// User and password.
    pub info: RedisConnectionInfo,
    pub database: i64,
    pub tls: Option<Arc<ClientConfig>>,
    /// Which settings to check when the server does not let us in.
    pub from: &'static str,
}

/// Servers that know nothing of each other. Each is asked for every entry, because which of them an app's client has
/// put it on is that client's business.
pub(super) struct Servers(pub Vec<Node>);

impl Servers {
    pub async fn evict(
        &mut self,
        entries: &[String],
        following: &Following,
        deadline: Instant,
    ) -> Result<(), Error> {
        // All servers are asked to the end: what can be evicted is evicted, even if others fail.
        let asked = self.0.iter_mut();
        let asked = asked.map(|node| node.evict(entries, following, deadline));
        join_all(asked).await.into_iter().collect()
    }

    pub fn is_connected(&self) -> bool {
        self.0.iter().any(Node::is_connected)
    }
}

impl Node {
    /// Evicts from this server, and waits until enough of its replicas have followed.
    async fn evict(
        &mut self,
        entries: &[String],
        following: &Following,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut pipeline = Pipeline::new();
        for batch in entries.chunks(BATCH) {
            pipeline.cmd("UNLINK").arg(batch);
        }
        self.ask(pipeline, following, deadline)
            .await
            .and_then(|replies| replies.into_iter().try_for_each(|reply| reply.map(|_| ())))
            .map_err(Error::at(self.address()))
    }
}

/// How much of the remaining time one of several tries in a row may take, so that a server that never answers leaves
/// some to the others.
fn share(deadline: Instant, tries: usize) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    let tries = u32::try_from(tries).unwrap_or(u32::MAX).max(1);
    Instant::now() + left / tries
}

/// The address that a server gives for another one.
fn told(host: &[u8], port: i64, by: &Address) -> Option<Address> {
    let port = u16::try_from(port).ok()?;
    match (host, by) {
        // It does not know its own name, and means the one by which it was reached.
        (b"", Address::Tcp(host, _)) => Some(Address::Tcp(host.clone(), port)),
        (b"" | b"?", _) => None,
        (host, _) => Some(Address::Tcp(String::from_utf8(host.to_vec()).ok()?, port)),
    }
}

fn refused(failure: Failure, address: &Address) -> Error {
    Error::at(address)(failure)
}
