//! With a cache outside the database: its session is evicted there like anybody's, and a cache that is down fails a run.

use redis::AsyncCommands;
use session_reaper::settings::{self, CacheKind, Cached, Settings};

use super::{fails, run, sessions, settings, succeeds};
use crate::{
    evict::caches::{django, entry, server::CacheServer},
    stage::{
        Database,
        figures::{
            Said::{AtLeast, Exactly},
            assert_moved, metrics,
        },
        server, wait_until,
    },
};

const SKIPPED: &str = "skipped: redis-server is not installed";

async fn site_with(cache: &CacheServer, refill_grace_s: u64) -> (Database, Settings) {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0].to_string();
    let mut settings = settings(Some(&user));
    settings.canary.timeout_s = refill_grace_s + 4;
    settings.site.cached = Cached::Outside;
    settings.cache = Some(settings::Cache {
        refill_grace_s,
        timeout_s: 1,
        ..django(CacheKind::Redis, &[cache.url()])
    });
    database.migrate_with(&settings).await;
    (database, settings)
}

/// A request that had read its row fills the cache when it has been evicted once.
#[tokio::test]
async fn what_a_cache_outside_holds_of_its_session_is_evicted_before_a_run_succeeds() {
    let Some(cache) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let (database, settings) = site_with(&cache, 4).await;
    let before = metrics(&database).await;
    let _daemon = database.daemon_with(settings).await;
    let evicted_once =
        "select count(*) from session_reaper.pending_eviction where evicted_at is not null";
    wait_until("its session has been evicted once", || async {
        database.number(evicted_once).await == 1
    })
    .await;
    let of_run = "select own_session, revocation_id from session_reaper.canary";
    let of_run = database.query_one(of_run, &[]).await.unwrap();
    let entry = entry(of_run.get(0));
    let mut app = cache.connect().await;
    let () = app.set(&entry, "pickled").await.unwrap();
    let settled = format!(
        "select count(*) from session_reaper.revocation where state = 'settled' and id = {}",
        of_run.get::<_, i64>(1)
    );
    wait_until("its revocation has settled", || async {
        database.number(&settled).await == 1
    })
    .await;
    let left: usize = app.exists(&entry).await.unwrap();
    assert_eq!(left, 0);
    let succeeded = "select count(*) from session_reaper.canary where succeeded_at is not null and failures = 0";
    wait_until("the run has succeeded", || async {
        database.number(succeeded).await == 1
    })
    .await;
    assert_moved(
        &before,
        &metrics(&database).await,
        &[("evicted_sessions_total", Exactly(0.0), AtLeast(1.0))],
    );
}

#[tokio::test]
async fn a_cache_outside_that_is_down_fails_a_run_until_it_is_back() {
    let Some(mut cache) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let (database, settings) = site_with(&cache, 0).await;
    let _daemon = database.daemon_with(settings).await;
    succeeds(&database).await;
    cache.kill();
    fails(&database, "settled").await;
    assert_eq!(sessions(&database).await, 0);
    assert_eq!(database.open_revocations().await, 1);
    let said = run(database.url(), &["status"]).await.stdout;
    assert!(
        said.contains("its revocation did not settle in time") && said.contains("cache down"),
        "{said}"
    );
    cache.start_again().await;
    succeeds(&database).await;
}
