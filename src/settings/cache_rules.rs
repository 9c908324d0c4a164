//! The rules of the cache's settings, among them those that need or exclude each other.

use super::cache_key::Names;
use super::ranges::{DAY_S, invalid, within};
use super::{Cache, CacheKind, Error};

/// Refuses settings that are incomplete or contradict each other, in one sentence.
pub(super) fn check(cache: &Cache) -> Result<(), Error> {
    within("cache.timeout_s", cache.timeout_s, 1..=3600)?;
    within("cache.refill_grace_s", cache.refill_grace_s, 0..=DAY_S)?;
    within("cache.poll_interval_s", cache.poll_interval_s, 1..=DAY_S)?;
    if let Some(replicas) = cache.min_replicas {
        within("cache.min_replicas", replicas, 0..=1000)?;
    }
    match missing(cache).or_else(|| superfluous(cache)) {
        Some((name, rule)) => Err(invalid(name, rule.to_owned())),
        None => Ok(()),
    }
}

fn has_servers(kind: CacheKind) -> bool {
    !matches!(
        kind,
        CacheKind::Table | CacheKind::InProcess | CacheKind::None
    )
}

fn missing(cache: &Cache) -> Option<(&'static str, &'static str)> {
    let kind = cache.kind;
    if has_servers(kind) && cache.servers.is_empty() {
        let rule = "has to be set: name the servers of the cache, or another cache.kind than redis, redis_sentinel, redis_cluster and memcached";
        return Some(("cache.servers", rule));
    }
    if kind == CacheKind::RedisSentinel && is_blank(cache.sentinel_master.as_ref()) {
        let rule = "has to be set: the name of the master, as the Sentinels know it";
        return Some(("cache.sentinel_master", rule));
    }
    if kind == CacheKind::Table && is_blank(cache.table.as_ref()) {
        let rule = "has to be set: the table of the database cache, as LOCATION names it";
        return Some(("cache.table", rule));
    }
    if matches!(kind, CacheKind::InProcess | CacheKind::None) {
        return None;
    }
    Names::of(cache).err().map(|rule| ("cache.key", rule))
}

fn superfluous(cache: &Cache) -> Option<(&'static str, &'static str)> {
    let is_redis = has_servers(cache.kind) && cache.kind != CacheKind::Memcached;
    let is_sentinel = cache.kind == CacheKind::RedisSentinel;
    let only_redis = "is for Redis and Valkey, and cache.kind names something else: leave it out";
    let only_sentinel = "is for cache.kind = \"redis_sentinel\": leave it out";
    let given = [
        (
            "cache.servers",
            !cache.servers.is_empty(),
            has_servers(cache.kind),
            "does not go with this cache.kind, which has none: leave it out",
        ),
        ("cache.user", cache.user.is_some(), is_redis, only_redis),
        (
            "cache.password_file",
            cache.password_file.is_some(),
            is_redis,
            only_redis,
        ),
        (
            "cache.ca_file",
            cache.ca_file.is_some(),
            is_redis,
            only_redis,
        ),
        (
            "cache.min_replicas",
            cache.min_replicas.is_some(),
            is_redis,
            only_redis,
        ),
        (
            "cache.sentinel_master",
            cache.sentinel_master.is_some(),
            is_sentinel,
            only_sentinel,
        ),
        (
            "cache.sentinel_user",
            cache.sentinel_user.is_some(),
            is_sentinel,
            only_sentinel,
        ),
        (
            "cache.sentinel_password_file",
            cache.sentinel_password_file.is_some(),
            is_sentinel,
            only_sentinel,
        ),
        (
            "cache.table",
            cache.table.is_some(),
            cache.kind == CacheKind::Table,
            "is for cache.kind = \"table\": leave it out",
        ),
    ];
    let mut given = given.into_iter();
    let (name, _, _, rule) = given.find(|(_, is_set, fits, _)| *is_set && !fits)?;
    Some((name, rule))
}

fn is_blank(text: Option<&String>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}
