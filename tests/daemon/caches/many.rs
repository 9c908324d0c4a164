//! Servers that never answer, and many sessions.

use std::time::Duration;

use session_reaper::{cache::Cache, settings::CacheKind};
use tokio::{net::TcpListener, time::timeout};

use super::{django, refusal, session_keys};

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
            let told = timeout(Duration::from_secs(30), told).await.unwrap();
            assert!(
                told.contains(&address.to_string()) && told.contains("did not answer in time"),
                "{kind:?}: {told}"
            );
        }
    }
    silent.abort();
}
