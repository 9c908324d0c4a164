//! Servers that never answer, and many sessions.

use std::time::{Duration, Instant};

use session_reaper::{
    cache::Cache,
    settings::{self, CacheKind},
};
use tokio::{net::TcpListener, time::timeout};

use super::{django, refusal, server::CacheServer, session_keys};

/// Every kind of cache, at servers that accept and never say a word.
#[tokio::test]
async fn a_server_that_never_answers_holds_an_eviction_for_no_longer_than_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
        }
    });
    for kind in [
        CacheKind::Redis,
        CacheKind::RedisSentinel,
        CacheKind::RedisCluster,
        CacheKind::Memcached,
    ] {
        for scheme in ["redis://", "rediss://"] {
            let server = match kind {
                CacheKind::Memcached => address.to_string(),
                _ => format!("{scheme}u:s3cret@{address}"),
            };
            let mut settings = django(kind, &[server]);
            settings.timeout_s = 1;
            settings.sentinel_master = Some("m".to_owned());
            let mut cache = Cache::open(&settings).unwrap();
            let ended = session_keys(10);
            let told = refusal(&mut cache, &ended, &["s3cret"]);
            // Far longer than the time that it has, so that a busy machine proves nothing.
            let told = timeout(Duration::from_secs(240), told).await.unwrap();
            assert!(
                told.contains(&address.to_string()) && told.contains("did not answer in time"),
                "{kind:?}: {told}"
            );
        }
    }
    silent.abort();
}

/// What a mass logout costs, five times each; the figures are printed. In release:
/// `cargo test --release --test daemon -- --ignored --nocapture caches::many`.
#[tokio::test]
#[ignore = "it measures"]
async fn a_hundred_thousand_entries() {
    let redis = CacheServer::redis(&[]).await.unwrap();
    let master = &[redis.url()];
    measure("Redis", &django(CacheKind::Redis, master), async |keys| {
        super::redis::fill(&redis, keys).await;
    })
    .await;
    if let Some(valkey) = CacheServer::valkey(&[]).await {
        measure(
            "Valkey",
            &django(CacheKind::Redis, &[valkey.url()]),
            async |keys| {
                super::redis::fill(&valkey, keys).await;
            },
        )
        .await;
    }
    let pair = super::sentinel::Pair::start().await.unwrap();
    measure("Sentinel, 1 replica", &pair.settings(), async |keys| {
        super::redis::fill(&pair.master, keys).await;
    })
    .await;
    let cluster = super::cluster::Cluster::start().await.unwrap();
    measure("Cluster, 3 masters", &cluster.settings(), async |keys| {
        cluster.fill(keys).await;
    })
    .await;
    for count in [1, 3] {
        let mut servers = Vec::new();
        for _ in 0..count {
            servers.push(CacheServer::memcached().await.unwrap());
        }
        let addresses: Vec<_> = servers.iter().map(CacheServer::address).collect();
        let settings = django(CacheKind::Memcached, &addresses);
        measure(&format!("Memcached, {count}"), &settings, async |keys| {
            super::memcached::put(&servers[0], keys).await;
        })
        .await;
    }
}

async fn measure(what: &str, settings: &settings::Cache, fill: impl AsyncFn(&[String])) {
    let mut cache = Cache::open(&settings::Cache {
        timeout_s: 60,
        ..settings.clone()
    })
    .unwrap();
    let mut times = Vec::new();
    for _ in 0..5 {
        let ended = session_keys(100_000);
        fill(&ended).await;
        let start = Instant::now();
        cache.evict(&ended).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    println!("{what}: {:?} of {times:?}", times[2]);
}
