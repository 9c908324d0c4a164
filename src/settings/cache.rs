//! The cache that stands in front of the session table.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Cached;

/// The cache that answers for the session table: a session that ends there has to be evicted here, too. Without this
/// section there is no cache. Adding it, taking it away, and changing `table` need `session-reaper migrate` and a
/// restart.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// What kind of cache it is.
    pub kind: CacheKind,
    /// Where it is. `redis://host:6379/1`, `rediss://` with TLS, `unix:///path?db=1`; `valkey` means the same as
    /// `redis`. For Memcached `host:11211` or the path of a socket. All of them are asked. Name the Sentinels for
    /// Sentinel, any of its nodes for a cluster, else every server that may hold an entry; never a replica. May hold
    /// `user:password@`; for Sentinel these are the Sentinels' own, while the database is the master's.
    pub servers: Vec<String>,
    /// User of Redis' access control lists. It needs no more than `resetkeys ~*KEY* -@all +unlink`, where `KEY` is what all
    /// entries have in common; `+select` for a database other than 0, `+set +wait` with `min_replicas`, and in a cluster
    /// `+cluster|slots +asking`.
    pub user: Option<String>,
    /// File that holds nothing but the password; it takes precedence over one in `servers`.
    pub password_file: Option<PathBuf>,
    /// The name under which Sentinel knows the master.
    pub sentinel_master: Option<String>,
    /// User of the Sentinels themselves. It needs no more than `-@all +sentinel|get-master-addr-by-name`.
    pub sentinel_user: Option<String>,
    /// File that holds nothing but the Sentinels' password.
    pub sentinel_password_file: Option<PathBuf>,
    /// File of the certificates that the servers' are checked with, in PEM form; left out: the system's.
    pub ca_file: Option<PathBuf>,
    /// How an entry is called, with `{key_prefix}`, `{version}` and `{session_key}`; left out: as the preset has it.
    pub key: Option<String>,
    /// The value of `{key_prefix}`: Django's `KEY_PREFIX`.
    pub key_prefix: String,
    /// The value of `{version}`: Django's `VERSION`.
    pub version: u64,
    /// What the cache's client puts before every key by itself, such as `key_prefix` among the `OPTIONS` of Django's
    /// `PyMemcacheCache`.
    pub backend_prefix: String,
    /// Table of Django's database cache.
    pub table: Option<String>,
    /// Longest time that one eviction may take, in seconds, over all servers and with connecting.
    pub timeout_s: u64,
    /// How long a request in flight may fill the cache again after the eviction, in seconds; the session is evicted once
    /// more after that. Has to be longer than the longest request.
    pub refill_grace_s: u64,
    /// How often the daemon looks unprompted for what is still to be evicted, in seconds.
    pub poll_interval_s: u64,
    /// How many replicas must have taken over an eviction before it counts. Left out: 1 with Sentinel and in a cluster,
    /// else 0. A master that dies before it has told a replica takes its evictions along, and the replica that succeeds
    /// it brings the entries back. Among replicas of one priority the one with the most data succeeds it, so 1 is
    /// enough there; where priorities differ, set the number of replicas. The price: with fewer replicas in reach
    /// nothing counts as evicted, although it is gone from the master, so revocations settle late. A cluster without
    /// replicas has to set 0. Also needed where the app reads from replicas.
    pub min_replicas: Option<u32>,
}

/// What kind of cache it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheKind {
    /// Redis or Valkey: one server, or several that know nothing of each other.
    #[default]
    Redis,
    /// The same, where Sentinel tells which server is the master.
    RedisSentinel,
    /// The same, with the keys divided among many servers.
    RedisCluster,
    /// Memcached: one server or several.
    Memcached,
    /// Django's database cache: a table beside the sessions.
    Table,
    /// The memory of the app's own processes, which no other process can evict from.
    InProcess,
    /// There is none, or none any more.
    None,
}

impl Cache {
    /// What the database has to know of it.
    pub(super) fn place(&self) -> Cached {
        match (self.kind, &self.table) {
            (CacheKind::InProcess | CacheKind::None, _) => Cached::No,
            (CacheKind::Table, Some(table)) => Cached::InTable(table.clone()),
            _ => Cached::Outside,
        }
    }

    /// How many replicas must have taken an eviction over before it counts.
    pub fn replicas_needed(&self) -> u32 {
        let usual = match self.kind {
            CacheKind::RedisSentinel | CacheKind::RedisCluster => 1,
            _ => 0,
        };
        self.min_replicas.unwrap_or(usual)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            kind: CacheKind::Redis,
            servers: Vec::new(),
            user: None,
            password_file: None,
            sentinel_master: None,
            sentinel_user: None,
            sentinel_password_file: None,
            ca_file: None,
            key: None,
            key_prefix: String::new(),
            version: 1,
            backend_prefix: String::new(),
            table: None,
            timeout_s: 5,
            refill_grace_s: 10,
            poll_interval_s: 1,
            min_replicas: None,
        }
    }
}

impl fmt::Debug for Cache {
    // The servers may hold passwords, and whatever slipped into a wrong setting may be one (P7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("kind", &self.kind)
            .field("servers", &self.servers.len())
            .field("table", &self.table)
            .field("version", &self.version)
            .field("timeout_s", &self.timeout_s)
            .field("refill_grace_s", &self.refill_grace_s)
            .field("poll_interval_s", &self.poll_interval_s)
            .field("min_replicas", &self.min_replicas)
            .finish_non_exhaustive()
    }
}
