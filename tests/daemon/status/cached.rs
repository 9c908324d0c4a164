//! What a cache still has to forget, and how it answers.

use session_reaper::settings::{self, CacheKind, Cached, Settings};

use crate::{
    evict::{cached, caches::django},
    stage::{
        Database,
        figures::{
            Said::{Exactly, Nothing},
            assert_moved, metrics,
        },
        server, wait_until,
    },
};

async fn time(database: &Database, column: &str) -> f64 {
    let at = format!(
        "select extract(epoch from {column})::double precision from session_reaper.eviction"
    );
    database.query_one(&at, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_waits_for_the_cache_is_told_and_what_it_has_forgotten_and_when() {
    let database = cached::cached_site().await;
    let user = database.users(1).await[0];
    cached::log_in(&database, user, 2).await;
    let before = metrics(&database).await;
    database
        .batch_execute("delete from django_session")
        .await
        .unwrap();
    let noted = metrics(&database).await;
    assert_moved(
        &before,
        &noted,
        &[("pending_evictions{round=first}", Exactly(0.0), Exactly(2.0))],
    );

    let mut settings = cached::settings();
    if let Some(cache) = &mut settings.cache {
        cache.refill_grace_s = 3600;
    }
    let daemon = database.daemon_with(settings).await;
    let first = "select count(*) from session_reaper.pending_eviction where evicted_at is null";
    wait_until("they are evicted once", || async {
        database.number(first).await == 0
    })
    .await;
    daemon.stop().await;
    let once = metrics(&database).await;
    assert_moved(
        &noted,
        &once,
        &[
            ("pending_evictions{round=first}", Exactly(2.0), Exactly(0.0)),
            (
                "pending_evictions{round=after_grace}",
                Exactly(0.0),
                Exactly(2.0),
            ),
            (
                "cache_confirmed_timestamp_seconds",
                Nothing,
                Exactly(time(&database, "confirmed_at").await),
            ),
        ],
    );

    let daemon = database.daemon_with(cached::settings()).await;
    let pending = "select count(*) from session_reaper.pending_eviction";
    wait_until("they are evicted twice", || async {
        database.number(pending).await == 0
    })
    .await;
    daemon.stop().await;
    assert_moved(
        &once,
        &metrics(&database).await,
        &[
            (
                "pending_evictions{round=after_grace}",
                Exactly(2.0),
                Exactly(0.0),
            ),
            ("evicted_sessions_total", Exactly(0.0), Exactly(2.0)),
        ],
    );
}

/// Nobody listens at its address.
#[tokio::test]
async fn a_cache_that_is_down_is_told_with_its_failures_and_who_waits_for_it() {
    let mut settings = Settings::default();
    settings.site.cached = Cached::Outside;
    settings.cache = Some(settings::Cache {
        timeout_s: 1,
        ..django(CacheKind::Redis, &["redis://127.0.0.1:1".to_owned()])
    });
    let database = Database::create_bare(server()).await;
    database.migrate_with(&settings).await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    let before = metrics(&database).await;
    let daemon = database.daemon_with(settings).await;
    database.change_password(user).await;
    let failing = "select count(*) from session_reaper.eviction v, session_reaper.revocation r where v.attempts > 1 and r.state = 'revoked'";
    wait_until("it has failed more than once", || async {
        database.number(failing).await == 1
    })
    .await;
    daemon.stop().await;
    let long =
        "update session_reaper.eviction set failing_since = failing_since - interval '5 minutes'";
    database.batch_execute(long).await.unwrap();
    let counts = "select attempts::double precision, failures::double precision from session_reaper.eviction";
    let counts = database.query_one(counts, &[]).await.unwrap();
    assert_moved(
        &before,
        &metrics(&database).await,
        &[
            (
                "cache_failed_attempts",
                Exactly(0.0),
                Exactly(counts.get(0)),
            ),
            ("cache_failures_total", Exactly(0.0), Exactly(counts.get(1))),
            (
                "cache_failing_since_timestamp_seconds",
                Nothing,
                Exactly(time(&database, "failing_since").await),
            ),
            ("revocations_awaiting_cache", Exactly(0.0), Exactly(1.0)),
            ("problems", Exactly(0.0), Exactly(1.0)),
        ],
    );
}
