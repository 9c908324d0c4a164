//! The cache is down, slow, restarted, or fails over: what has ended is forgotten all the same, later (P5).

use std::time::Duration;

use redis::AsyncCommands;
use session_reaper::settings::{self, CacheKind, Cached, Settings};
use tokio::time::sleep;

use crate::{
    evict::caches::{
        cluster::Cluster,
        django, entry,
        sentinel::{self, Pair},
        server::CacheServer,
    },
    stage::{Database, figures::metrics, program::run, server, wait_until},
};

const SKIPPED: &str = "skipped: redis-server is not installed";

/// A site whose sessions are in this cache, too.
async fn site_with(cache: settings::Cache) -> (Database, Settings) {
    let mut settings = Settings::default();
    settings.site.cached = Cached::Outside;
    settings.cache = Some(settings::Cache {
        refill_grace_s: 1,
        timeout_s: 1,
        ..cache
    });
    let database = Database::create_bare(server()).await;
    database.migrate_with(&settings).await;
    (database, settings)
}

fn of(cache: &CacheServer) -> settings::Cache {
    django(CacheKind::Redis, &[cache.url()])
}

async fn fill(cache: &CacheServer, session_keys: &[String]) {
    let entries: Vec<_> = session_keys.iter().map(|key| (entry(key), 1)).collect();
    let () = cache.connect().await.mset(&entries).await.unwrap();
}

/// How many of these the cache would answer for, once it has read what it keeps.
async fn cached(cache: &CacheServer, session_keys: &[String]) -> usize {
    wait_until("the cache has read what it keeps", async || {
        cache.ask::<()>("PING").await.is_ok()
    })
    .await;
    let entries: Vec<_> = session_keys.iter().map(|key| entry(key)).collect();
    cache.connect().await.exists(&entries).await.unwrap()
}

async fn log_in(database: &Database, cache: &CacheServer, user: i32, times: usize) -> Vec<String> {
    let sessions = database.log_in(user, times).await;
    fill(cache, &sessions).await;
    sessions
}

async fn status(database: &Database) -> String {
    run(database.url(), &["status"]).await.stdout
}

async fn rows_gone(database: &Database, sessions: &[String]) {
    wait_until("the rows are gone", async || {
        database.count(sessions).await == 0
    })
    .await;
}

/// What `status` says of a cache that does not confirm, and that the sessions of others go on ending meanwhile.
async fn nobody_settles_and_rows_go(database: &Database, users: &[i32], sessions: [&[String]; 2]) {
    database.change_password(users[0]).await;
    rows_gone(database, sessions[0]).await;
    wait_until("status names the cache that fails", async || {
        let said = status(database).await;
        said.contains("cache down for ") && said.contains("127.0.0.1:")
    })
    .await;
    database.change_password(users[1]).await;
    rows_gone(database, sessions[1]).await;
    let waiting = "select count(*) from session_reaper.awaiting_eviction(null)";
    wait_until("both wait for the cache", async || {
        database.number(waiting).await == 2
    })
    .await;
    assert_eq!(database.open_revocations().await, 2);
    let said = status(database).await;
    assert!(
        said.contains("2 revocations wait for that") && said.contains("cache down for "),
        "{said}"
    );
    let metrics = metrics(database).await;
    assert_eq!(metrics["session_reaper_revocations_awaiting_cache"], 2.0);
    assert!(metrics["session_reaper_cache_failing_since_timestamp_seconds"] > 0.0);
    assert!(metrics["session_reaper_cache_failed_attempts"] > 0.0);
    for session in sessions.concat() {
        assert!(!said.contains(&session), "{said}");
    }
}

async fn all_settles(database: &Database, cache: &CacheServer, sessions: [&[String]; 2]) {
    database.settled().await;
    assert_eq!(cached(cache, &sessions.concat()).await, 0);
    let said = status(database).await;
    assert!(!said.contains("cache down"), "{said}");
    let metrics = metrics(database).await;
    assert_eq!(metrics["session_reaper_revocations_awaiting_cache"], 0.0);
    assert!(!metrics.contains_key("session_reaper_cache_failing_since_timestamp_seconds"));
}

#[tokio::test]
async fn while_the_cache_is_down_rows_go_and_nothing_settles_until_it_is_back() {
    // Its entries come back with it.
    let conf = ["appendonly yes", "appendfsync always"];
    let Some(mut cache) = CacheServer::redis(&conf).await else {
        return println!("{SKIPPED}");
    };
    let (database, settings) = site_with(of(&cache)).await;
    let users = database.users(3).await;
    let one = log_in(&database, &cache, users[0], 3).await;
    let other = log_in(&database, &cache, users[1], 2).await;
    let neighbours = log_in(&database, &cache, users[2], 2).await;
    let _daemon = database.daemon_with(settings).await;

    cache.kill();
    nobody_settles_and_rows_go(&database, &users, [&one, &other]).await;
    cache.start_again().await;
    all_settles(&database, &cache, [&one, &other]).await;
    assert_eq!(cached(&cache, &neighbours).await, 2);
}

#[tokio::test]
async fn a_cache_that_does_not_answer_is_asked_again_until_it_does() {
    let Some(cache) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let (database, settings) = site_with(of(&cache)).await;
    let users = database.users(3).await;
    let one = log_in(&database, &cache, users[0], 3).await;
    let other = log_in(&database, &cache, users[1], 2).await;
    let neighbours = log_in(&database, &cache, users[2], 2).await;
    let _daemon = database.daemon_with(settings).await;

    cache.signal("STOP");
    nobody_settles_and_rows_go(&database, &users, [&one, &other]).await;
    cache.signal("CONT");
    all_settles(&database, &cache, [&one, &other]).await;
    assert_eq!(cached(&cache, &neighbours).await, 2);
}

/// Between the two evictions the cache crashes, and comes back with what it had before the first.
#[tokio::test]
async fn what_a_snapshot_brings_back_before_the_grace_is_over_is_evicted_again() {
    let Some(mut cache) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let (database, mut settings) = site_with(of(&cache)).await;
    if let Some(cache) = &mut settings.cache {
        cache.refill_grace_s = 4;
    }
    let user = database.users(1).await[0];
    let sessions = log_in(&database, &cache, user, 3).await;
    let () = cache.ask("SAVE").await.unwrap();
    let _daemon = database.daemon_with(settings).await;

    database.change_password(user).await;
    wait_until("they are evicted once", async || {
        cached(&cache, &sessions).await == 0
    })
    .await;
    cache.start_again().await;
    assert_eq!(cached(&cache, &sessions).await, 3);
    assert_eq!(database.open_revocations().await, 1);
    database.settled().await;
    assert_eq!(cached(&cache, &sessions).await, 0);
}

/// How Redis is configured, whether it crashes or is stopped, and how many of three entries, which were in its last
/// snapshot and have been evicted and settled since, it brings back.
const RESTARTS: &[(&[&str], bool, usize)] = &[
    (&["save 3600 1"], true, 3),
    (&["save 3600 1"], false, 0),
    (&["appendonly yes", "appendfsync always"], true, 0),
];

/// A limit, shown: a cache that goes back behind what it has confirmed, and this only a crash with snapshots alone does,
/// takes evictions back that nobody remembers any more.
#[tokio::test]
async fn only_a_crash_of_a_cache_that_keeps_nothing_but_snapshots_brings_settled_sessions_back() {
    for (conf, is_crash, back) in RESTARTS {
        let Some(mut cache) = CacheServer::redis(conf).await else {
            return println!("{SKIPPED}");
        };
        let (database, settings) = site_with(of(&cache)).await;
        let user = database.users(1).await[0];
        let before_snapshot = log_in(&database, &cache, user, 2).await;
        let daemon = database.daemon_with(settings).await;
        database.change_password(user).await;
        database.settled().await;
        let sessions = log_in(&database, &cache, user, 3).await;
        let () = cache.ask("SAVE").await.unwrap();
        database.change_password(user).await;
        database.settled().await;
        daemon.stop().await;

        if !is_crash {
            cache.stop();
        }
        cache.start_again().await;
        assert_eq!(cached(&cache, &sessions).await, *back, "{conf:?}");
        assert_eq!(cached(&cache, &before_snapshot).await, 0, "{conf:?}");
    }
}

/// What Sentinel's master holds, whichever it is: the app fills it without caring whether that worked.
async fn fill_master(pair: &Pair, session_keys: &[String]) {
    let entries: Vec<_> = session_keys.iter().map(|key| (entry(key), 1)).collect();
    for cache in [&pair.master, &pair.replica] {
        let mut set = redis::cmd("MSET");
        for (name, value) in &entries {
            set.arg(name).arg(value);
        }
        // A replica refuses, and a dead one even more so.
        let url = format!("unix://{}", cache.socket());
        if let Ok(client) = redis::Client::open(url)
            && let Ok(mut connection) = client.get_multiplexed_async_connection().await
        {
            let _ = set.query_async::<()>(&mut connection).await;
        }
    }
}

#[tokio::test]
async fn no_revoked_session_is_cached_after_a_failover_under_a_stream_of_logins_and_revocations() {
    let Some(mut pair) = Pair::start().await else {
        return println!("{}", sentinel::SKIPPED);
    };
    let (database, settings) = site_with(pair.settings()).await;
    let users = database.users(60).await;
    let _daemon = database.daemon_with(settings).await;
    let (mut revoked, mut alive) = (Vec::new(), Vec::new());
    for (nth, user) in users.iter().enumerate() {
        let older = database.log_in(*user, 5).await;
        fill_master(&pair, &older).await;
        database.change_password(*user).await;
        revoked.extend(older);
        let later = database.log_in(*user, 1).await;
        fill_master(&pair, &later).await;
        alive.extend(later);
        if nth == users.len() / 3 {
            pair.master.kill();
        }
        if nth > users.len() / 3 {
            sleep(Duration::from_millis(50)).await;
        }
    }
    wait_until("Sentinel promotes the replica", async || {
        let role: Vec<redis::Value> = pair.replica.ask("ROLE").await.unwrap_or_default();
        role.first() == Some(&redis::Value::BulkString(b"master".to_vec()))
    })
    .await;
    fill_master(&pair, &database.log_in(users[0], 1).await).await;
    assert!(database.open_revocations().await > 0);
    pair.master.start_again().await;
    // Sentinel takes its time to make it a replica, without which nothing is confirmed.
    wait_until("the old master follows", async || {
        let info: String = pair
            .master
            .ask("INFO replication")
            .await
            .unwrap_or_default();
        info.contains("master_link_status:up")
    })
    .await;
    database.settled().await;

    assert_eq!(cached(&pair.replica, &revoked).await, 0);
    assert_eq!(database.count(&revoked).await, 0);
    assert_eq!(database.count(&alive).await, alive.len());
    assert!(cached(&pair.replica, &alive).await > 0);
    assert_eq!(cached(&pair.master, &revoked).await, 0);
}

#[tokio::test]
async fn a_cluster_forgets_on_each_of_its_nodes_and_what_a_dead_one_held_keeps_its_revocation_open()
{
    let Some(mut cluster) = Cluster::start().await else {
        return println!("{SKIPPED}");
    };
    let (database, settings) = site_with(cluster.settings()).await;
    let users = database.users(2).await;
    let mut sessions = database.log_in(users[0], 60).await;
    cluster.fill(&sessions).await;
    let daemon = database.daemon_with(settings).await;
    assert_eq!(cluster.left().await, 60);
    database.change_password(users[0]).await;
    database.settled().await;
    assert_eq!(cluster.left().await, 0);

    sessions = database.log_in(users[1], 60).await;
    cluster.fill(&sessions).await;
    cluster.nodes[2].kill();
    database.change_password(users[1]).await;
    rows_gone(&database, &sessions).await;
    wait_until("status names the cache that fails", async || {
        status(&database).await.contains("cache down for ")
    })
    .await;
    assert_eq!(database.open_revocations().await, 1);
    cluster.nodes[2].start_again().await;
    database.settled().await;
    assert_eq!(cluster.left().await, 0);
    daemon.stop().await;
}
