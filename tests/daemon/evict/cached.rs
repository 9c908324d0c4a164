//! Sessions that are cached beside their table are forgotten there, too (P5): here in Django's database cache, which
//! needs no server of its own.

use session_reaper::{
    demo::site,
    settings::{Cache, CacheKind, Cached, Settings},
};
use tokio_postgres::{Client, Transaction};

use crate::stage::{
    Database, django,
    program::{run, run_with},
    server, wait_until,
};

/// A site with a cache, whose requests take a second at most.
pub fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.site.cached = Cached::InTable("django_cache".to_owned());
    settings.cache = Some(Cache {
        kind: CacheKind::Table,
        table: Some("django_cache".to_owned()),
        key: Some(
            "{key_prefix}:{version}:django.contrib.sessions.cached_db{session_key}".to_owned(),
        ),
        refill_grace_s: 1,
        ..Cache::default()
    });
    settings
}

/// As `manage.py createcachetable` makes it.
pub async fn cached_site() -> Database {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute(
            "create table django_cache (
                cache_key varchar(255) primary key, value text not null, expires timestamptz not null)",
        )
        .await
        .unwrap();
    database.migrate_with(&settings()).await;
    database
}

/// Nothing is evicted until this is over.
pub async fn hold_cache(site: &mut Client) -> Transaction<'_> {
    let cache = site.transaction().await.unwrap();
    cache
        .batch_execute("lock table django_cache in access exclusive mode")
        .await
        .unwrap();
    cache
}

fn entry(session_key: &str) -> String {
    format!(":1:django.contrib.sessions.cached_db{session_key}")
}

/// What a request does that has read the session, or saved it.
async fn fill(client: &Client, sessions: &[String]) {
    let entries: Vec<String> = sessions.iter().map(|key| entry(key)).collect();
    client
        .execute(
            "insert into django_cache select e, 'pickled', now() + interval '14 days' from unnest($1::text[]) e
             on conflict (cache_key) do update set value = excluded.value",
            &[&entries],
        )
        .await
        .unwrap();
}

/// How many of these sessions the cache would answer for.
async fn cached(database: &Database, sessions: &[String]) -> i64 {
    let entries: Vec<String> = sessions.iter().map(|key| entry(key)).collect();
    database
        .query_one(
            "select count(*) from django_cache where cache_key = any ($1)",
            &[&entries],
        )
        .await
        .unwrap()
        .get(0)
}

pub async fn log_in(database: &Database, user: i32, times: usize) -> Vec<String> {
    let sessions = database.log_in(user, times).await;
    fill(&database.client, &sessions).await;
    sessions
}

#[track_caller]
fn forgotten(database: &Database, sessions: &[String]) -> impl Future<Output = ()> {
    wait_until("the cache has forgotten them", async || {
        cached(database, sessions).await == 0
    })
}

async fn pending(database: &Database) -> i64 {
    database
        .number("select count(*) from session_reaper.pending_eviction")
        .await
}

#[tokio::test]
async fn a_cached_session_is_forgotten_twice_before_its_revocation_settles() {
    let database = cached_site().await;
    let users = database.users(2).await;
    let (old, others) = (
        log_in(&database, users[0], 3).await,
        log_in(&database, users[1], 2).await,
    );
    let _daemon = database.daemon_with(settings()).await;

    database.change_password(users[0]).await;
    forgotten(&database, &old).await;
    // A request in flight had read the row before it was deleted, and fills the cache only now.
    fill(&database.client, &old).await;
    assert_eq!(database.open_revocations().await, 1);

    database.settled().await;
    assert_eq!(cached(&database, &old).await, 0);
    assert_eq!(cached(&database, &others).await, 2);
    let evicted = "select sessions from session_reaper.eviction";
    assert_eq!(database.number(evicted).await, 3);
    assert_eq!(pending(&database).await, 0);
}

/// A stolen laptop must not wait in the cache behind a reset of everybody's passwords.
#[tokio::test]
async fn the_sessions_of_one_change_are_forgotten_before_those_of_a_change_of_many_users() {
    let database = cached_site().await;
    let users = database.users(200).await;
    for user in &users {
        database.log_in(*user, 1).await;
    }
    let mut site = database.connect().await;
    let cache = hold_cache(&mut site).await;
    let mut settings = settings();
    settings.revoke.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;
    let swept = async |count: i64| {
        wait_until("they are ended", || async {
            pending(&database).await == count
        })
        .await;
    };
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    swept(200).await;
    let one = database.log_in(users[100], 1).await;
    database.change_password(users[100]).await;
    swept(201).await;
    // The first fifty of the reset go with the single changes.
    let taken = "select count(*), count(*) filter (where e.key_text = $1) from session_reaper.take_evictions(60, 1) e";
    let row = database.query_one(taken, &[&one[0]]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (60_i64, 1_i64));
    drop(cache);
    database.settled().await;
}

#[tokio::test]
async fn a_session_that_is_deleted_by_other_hands_is_forgotten_and_so_is_one_that_is_revoked_alone()
{
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 3).await;
    let _daemon = database.daemon_with(settings()).await;

    database
        .execute(
            "delete from django_session where session_key = $1",
            &[&sessions[0]],
        )
        .await
        .unwrap();
    forgotten(&database, &sessions[..1]).await;
    database
        .execute("select session_reaper.revoke_session($1)", &[&sessions[1]])
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(cached(&database, &sessions).await, 1);
    assert_eq!(cached(&database, &sessions[2..]).await, 1);
}

/// An emergency brake of operators, which no row trigger sees.
#[tokio::test]
async fn truncated_sessions_are_forgotten_and_those_that_had_expired_are_not_asked_for() {
    let database = cached_site().await;
    let users = database.users(2).await;
    let mut sessions = log_in(&database, users[0], 3).await;
    sessions.extend(log_in(&database, users[1], 2).await);
    site::abandon(&database.client, 50).await.unwrap();
    database
        .batch_execute("truncate django_session cascade")
        .await
        .unwrap();
    assert_eq!(pending(&database).await, 5);
    assert_eq!(cached(&database, &sessions).await, 5);
    let theirs = "select count(distinct user_id) from session_reaper.pending_eviction";
    assert_eq!(database.number(theirs).await, 2);

    let _daemon = database.daemon_with(settings()).await;
    forgotten(&database, &sessions).await;
}

/// P4 and P5 together: the row goes with the change, the entry as soon as a daemon is back.
#[tokio::test]
async fn what_a_changing_transaction_ended_by_itself_is_forgotten_by_the_next_daemon() {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 2).await;
    database.change_password(user).await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(cached(&database, &sessions).await, 2);

    let _daemon = database.daemon_with(settings()).await;
    database.settled().await;
    assert_eq!(cached(&database, &sessions).await, 0);
}

#[tokio::test]
async fn the_sessions_of_a_deleted_user_are_forgotten() {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 2).await;
    let _daemon = database.daemon_with(settings()).await;
    database
        .execute("delete from auth_user where id = $1", &[&user])
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(cached(&database, &sessions).await, 0);
}

/// Neither waits for it with locks in hand (P6), nor takes it for forgotten.
#[tokio::test]
async fn an_entry_that_the_app_holds_delays_its_own_revocation_and_no_other() {
    let database = cached_site().await;
    let users = database.users(2).await;
    let (held, free) = (
        log_in(&database, users[0], 1).await,
        log_in(&database, users[1], 1).await,
    );
    let _daemon = database.daemon_with(settings()).await;
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "select from django_cache where cache_key = $1 for update",
            &[&entry(&held[0])],
        )
        .await
        .unwrap();

    database.change_password(users[0]).await;
    wait_until("the session is gone", async || {
        database.count(&held).await == 0
    })
    .await;
    database.change_password(users[1]).await;
    // Both wait for this request as such, since it was open at the change; but only one waits for the cache.
    let awaits = "select r.id in (select session_reaper.awaiting_eviction(null)) from session_reaper.revocation r where r.user_id = $1";
    wait_until("the other entry is forgotten for good", async || {
        // In this order: before it is revoked, it does not wait, either.
        if cached(&database, &free).await > 0 {
            return false;
        }
        let row = database.query_one(awaits, &[&users[1]]).await.unwrap();
        !row.get::<_, bool>(0)
    })
    .await;
    let row = database.query_one(awaits, &[&users[0]]).await.unwrap();
    assert!(row.get::<_, bool>(0));
    let status = run(database.url(), &["status"]).await;
    assert!(
        status.stdout.contains("cache      1 session to evict, 0 once more after the grace; 1 revocation waits for that"),
        "{}",
        status.stdout
    );
    request.commit().await.unwrap();
    database.settled().await;
    assert_eq!(cached(&database, &held).await, 0);
}

/// What waits for the cache is known by the user's key.
#[tokio::test]
async fn a_user_whose_key_changes_keeps_waiting_for_the_cache() {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let held = log_in(&database, user, 1).await;
    let _daemon = database.daemon_with(settings()).await;
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    let hold = "select from django_cache where cache_key = $1 for update";
    request.execute(hold, &[&entry(&held[0])]).await.unwrap();
    database.change_password(user).await;
    wait_until("the session is gone", async || {
        database.count(&held).await == 0
    })
    .await;
    let rename = "update auth_user set id = id + 1000 where id = $1";
    database.execute(rename, &[&user]).await.unwrap();
    let awaiting = "select count(*) from session_reaper.awaiting_eviction(null)";
    assert_eq!(database.number(awaiting).await, 1);
    request.commit().await.unwrap();
    database.settled().await;
    assert_eq!(cached(&database, &held).await, 0);
}

/// The row is gone before any sweep could end it, so only the note about the key tells that it had been the user's.
#[tokio::test]
async fn an_older_session_that_others_delete_meanwhile_keeps_the_revocation_open_until_it_is_forgotten()
 {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 1).await;
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "delete from django_session where session_key = $1",
            &[&sessions[0]],
        )
        .await
        .unwrap();
    database.change_password(user).await;
    request.commit().await.unwrap();
    let _daemon = database.daemon_with(settings()).await;
    database.settled().await;
    assert_eq!(cached(&database, &sessions).await, 0);
}

/// Nobody can know any more whose it was.
#[tokio::test]
async fn a_session_that_is_deleted_before_it_was_read_keeps_what_it_is_older_than_open_until_it_is_forgotten()
 {
    let database = cached_site().await;
    let users = database.users(2).await;
    let session = django::log_in(&database, users[0]).await;
    fill(&database.client, std::slice::from_ref(&session)).await;
    database
        .execute(
            "delete from django_session where session_key = $1",
            &[&session],
        )
        .await
        .unwrap();
    database.change_password(users[0]).await;
    let later = django::log_in(&database, users[1]).await;
    database
        .execute(
            "delete from django_session where session_key = $1",
            &[&later],
        )
        .await
        .unwrap();
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "select from django_cache where cache_key = $1 for update",
            &[&entry(&session)],
        )
        .await
        .unwrap();
    let _daemon = database.daemon_with(settings()).await;
    wait_until(
        "the revocation waits for nothing but the cache",
        async || {
            let revoked =
                "select count(*) from session_reaper.revocation r where r.state = 'revoked'";
            database.number(revoked).await == 1
                && django::queued(&database).await == 0
                && pending(&database).await == 1
        },
    )
    .await;
    let awaits = "select count(*) from session_reaper.awaiting_eviction(null)";
    assert_eq!(database.number(awaits).await, 1);
    request.commit().await.unwrap();
    database.settled().await;
    assert_eq!(cached(&database, &[session]).await, 0);
}

#[tokio::test]
async fn who_logs_in_and_out_all_the_time_keeps_no_old_revocation_open() {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 1).await;
    let _daemon = database.daemon_with(settings()).await;
    database.change_password(user).await;
    wait_until("it is settled", async || {
        let later = log_in(&database, user, 1).await;
        database
            .execute(
                "delete from django_session where session_key = $1",
                &[&later[0]],
            )
            .await
            .unwrap();
        database.open_revocations().await == 0
    })
    .await;
    assert!(pending(&database).await > 0);
    assert_eq!(cached(&database, &sessions).await, 0);
}

/// An entry lives as long as its session.
#[tokio::test]
async fn a_purge_leaves_nothing_to_forget() {
    let database = cached_site().await;
    site::abandon(&database.client, 50).await.unwrap();
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "table"),
        ("SESSION_REAPER_CACHE_TABLE", "django_cache"),
    ];
    run_with(database.url(), &["purge"], &cache)
        .await
        .assert_done();
    assert_eq!(
        database.number("select count(*) from django_session").await,
        0
    );
    assert_eq!(pending(&database).await, 0);
}

#[tokio::test]
async fn everybodys_sessions_are_forgotten_before_the_revocation_of_everybody_settles() {
    let database = cached_site().await;
    let mut sessions = Vec::new();
    for user in database.users(5).await {
        sessions.extend(log_in(&database, user, 20).await);
    }
    let _daemon = database.daemon_with(settings()).await;
    database
        .execute("select session_reaper.revoke_all()", &[])
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(cached(&database, &sessions).await, 0);
}

/// Or its revocations would stay open for ever, and nobody knew why.
#[tokio::test]
async fn a_daemon_that_does_not_know_the_cache_says_so_and_migrating_without_it_sets_free() {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    log_in(&database, user, 1).await;
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    wait_until("status names the mistake", async || {
        let status = run(database.url(), &["status"]).await.stdout;
        status.contains("this daemon knows of no cache: name it in [cache]")
    })
    .await;
    assert_eq!(database.open_revocations().await, 1);
    let installed = run(database.url(), &["migrate"]).await;
    assert!(
        installed
            .stderr
            .contains("the installation knows of a cache"),
        "{}",
        installed.stderr
    );
    let mut without = Settings::default();
    without.site.cached = Cached::No;
    database.migrate_with(&without).await;
    database.settled().await;
}
