//! Evicting from the cache that stands in front of the session table (P5).
//!
//! A store such as Django's `cached_db` answers from its cache without asking the table, so a session that has ended
//! there lives on here. Entries are evicted with confirmation: [`Cache::evict`] returns when every server that could
//! hold one has confirmed that it does not. An error means that nothing is known and everything is to be evicted again.
//! Nothing here retries for long or logs; that is the business of the caller, which keeps the list of what is to be
//! evicted.

mod address;
mod error;
mod memcached;
mod opening;
mod redis;
mod wire;

use std::time::Duration;

use tokio::time::Instant;

use crate::settings::{self, Names};
use memcached::Memcached;
use redis::{Cluster, Following, Sentinel, Servers};

pub use error::{Error, Failure};

/// A cache, its connections, and how it calls the entries of sessions. Owned by one worker.
pub struct Cache {
    names: Names,
    servers: Kind,
    replicas: u32,
    timeout: Duration,
    description: String,
}

enum Kind {
    Redis(Servers),
    Sentinel(Sentinel),
    Cluster(Cluster),
    Memcached(Memcached),
}

impl Cache {
    /// Gets ready to evict. Connects when there is something to evict, so that a cache that is down does not keep the
    /// daemon from starting.
    ///
    /// # Errors
    /// What is wrong with the settings, as a sentence: a server that is no address, a file that cannot be read.
    pub fn open(settings: &settings::Cache) -> Result<Self, Error> {
        let (servers, description) = opening::open(settings)?;
        Ok(Self {
            names: Names::of(settings)
                .map_err(|rule| Error::Settings(format!("the setting cache.key {rule}")))?,
            servers,
            replicas: settings.replicas_needed(),
            timeout: Duration::from_secs(settings.timeout_s),
            description,
        })
    }

    /// Evicts what the cache has for these sessions. Returns when every server that could hold an entry has confirmed,
    /// and after `timeout_s` at the latest. It can be cancelled at any time.
    ///
    /// # Errors
    /// The first server that did not confirm. The next call connects again.
    pub async fn evict(&mut self, session_keys: &[String]) -> Result<(), Error> {
        if session_keys.is_empty() {
            return Ok(());
        }
        let entries = session_keys.iter().map(|key| self.names.entry(key));
        let entries: Vec<String> = entries.collect();
        let deadline = Instant::now() + self.timeout;
        let was_connected = self.is_connected();
        match self.try_once(&entries, deadline).await {
            // Idle connections get closed, by servers and in between; that is no failure of the cache.
            Err(error) if was_connected && error.is_lost() => {
                self.try_once(&entries, deadline).await
            }
            result => result,
        }
    }

    /// The kind of cache and its addresses, without secrets.
    pub fn describe(&self) -> String {
        self.description.clone()
    }

    fn is_connected(&self) -> bool {
        match &self.servers {
            Kind::Redis(servers) => servers.is_connected(),
            Kind::Sentinel(sentinel) => sentinel.is_connected(),
            Kind::Cluster(cluster) => cluster.is_connected(),
            Kind::Memcached(servers) => servers.is_connected(),
        }
    }

    async fn try_once(&mut self, entries: &[String], deadline: Instant) -> Result<(), Error> {
        let (needed, names) = (self.replicas, &self.names);
        let following = Following {
            needed,
            marker: names.marker(0),
        };
        match &mut self.servers {
            Kind::Redis(servers) => servers.evict(entries, &following, deadline).await,
            Kind::Sentinel(sentinel) => sentinel.evict(entries, &following, deadline).await,
            Kind::Cluster(cluster) => cluster.evict(entries, needed, names, deadline).await,
            Kind::Memcached(servers) => servers.evict(entries, deadline).await,
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cache").field(&self.description).finish()
    }
}
