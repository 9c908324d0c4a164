//! Caches, real ones: what [`Cache::evict`] confirms is not there any more (P5), and nothing that it says shows a key or a
//! password (P7).

pub mod cluster;
mod many;
mod memcached;
mod redis;
pub mod sentinel;
pub mod server;

use std::time::{Duration, Instant};

use session_reaper::{
    cache::{Cache, Error},
    settings::{self, CacheKind},
};

/// Settings of a Django site's cache.
pub fn django(kind: CacheKind, servers: &[String]) -> settings::Cache {
    settings::Cache {
        kind,
        servers: servers.to_vec(),
        key: Some(
            "{key_prefix}:{version}:django.contrib.sessions.cached_db{session_key}".to_owned(),
        ),
        timeout_s: 2,
        ..settings::Cache::default()
    }
}

/// What Django calls the entry of a session.
pub fn entry(session_key: &str) -> String {
    format!(":1:django.contrib.sessions.cached_db{session_key}")
}

/// As many session keys as are asked for, all different.
pub fn session_keys(count: usize) -> Vec<String> {
    let run = fastrand::u32(..);
    let key = |n| format!("{run:08x}{n:024x}");
    (0..count).map(key).collect()
}

/// Evicts until it is confirmed, as the daemon does.
async fn evict(cache: &mut Cache, session_keys: &[String]) {
    let patience = Instant::now() + Duration::from_secs(240);
    while let Err(error) = cache.evict(session_keys).await {
        assert!(Instant::now() < patience, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The sentence of an eviction that has to fail, which shows none of these.
async fn refusal(cache: &mut Cache, session_keys: &[String], secrets: &[&str]) -> String {
    let error = cache.evict(session_keys).await.unwrap_err();
    let told = format!("{error} {error:?} {cache:?} {}", cache.describe());
    let keys = session_keys.iter().map(String::as_str);
    for secret in keys.chain(secrets.iter().copied()) {
        assert!(!told.contains(secret), "{told} shows {secret}");
    }
    error.to_string()
}

/// What is wrong with the settings, which shows none of these either.
fn objection(settings: &settings::Cache, secrets: &[&str]) -> String {
    let error = Cache::open(settings).unwrap_err();
    assert!(matches!(error, Error::Settings(_)), "{error:?}");
    let told = format!("{error} {error:?}");
    assert!(
        !secrets.iter().any(|secret| told.contains(secret)),
        "{told}"
    );
    error.to_string()
}
