//! Caches.

use super::{ailments, examine, findings, named};
use crate::stage::{
    Database,
    program::{run_unprivileged, run_with},
    server,
};

/// What nobody can do has to be known by whoever relies on it.
#[tokio::test]
async fn a_cache_inside_the_apps_processes_is_told_that_nobody_evicts_from_it_and_how_to_live_with_it()
 {
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    let in_process = [("SESSION_REAPER_CACHE_KIND", "in_process")];
    let ended = run_with(database.url(), &["doctor", "--json"], &in_process).await;
    let found = ailments(&ended);
    let told = found.iter().find(|f| f.starts_with("cache warn: "));
    let told = told.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(named(&ended, "cache.in_process").is_some());
    for part in [
        "LocMemCache",
        "which nobody else can evict from",
        "until it expires or the process restarts",
        "Redis, Valkey, Memcached or database cache",
        "django.contrib.sessions.backends.db",
    ] {
        assert!(told.contains(part), "{told} does not say {part}");
    }
    // Worth knowing, and nothing that a daemon could be asked to mend.
    assert_eq!(ended.code, Some(0));

    let none = findings(&examine(&database).await);
    let none = none.iter().find(|f| f["check"] == "cache").unwrap();
    assert_eq!(none["verdict"], "warn");
    assert!(
        none["says"]
            .as_str()
            .unwrap()
            .contains("until [cache] names its cache")
    );
}

/// The file of settings was forgotten, say. Sessions that ended would live on in the cache.
#[tokio::test]
async fn without_the_cache_that_the_installation_has_doctor_fails_and_says_what_waits_for_it() {
    let database = Database::create_bare(server()).await;
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "redis"),
        ("SESSION_REAPER_CACHE_SERVERS", "redis://127.0.0.1:1"),
    ];
    run_with(database.url(), &["migrate"], &cache)
        .await
        .assert_done();
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    database
        .execute(
            "delete from django_session where session_key = any ($1)",
            &[&sessions],
        )
        .await
        .unwrap();
    let ended = examine(&database).await;
    assert_eq!(ended.code, Some(1));
    let found = ailments(&ended);
    assert!(named(&ended, "cache.forgotten").is_some(), "{found:#?}");
    assert!(named(&ended, "cache.waiting").is_some(), "{found:#?}");
    for part in [
        "cache fail: the installation knows of a cache, and these settings name none",
        "cache warn: 2 sessions to evict",
    ] {
        assert!(found.iter().any(|f| f.starts_with(part)), "{found:#?}");
    }
    assert!(
        !found.iter().any(|f| f.contains("another release")),
        "{found:#?}"
    );
}

/// Whoever looks by hand is another user than the service.
#[tokio::test]
async fn a_password_file_that_only_the_service_may_read_is_no_failure_of_the_cache() {
    use std::os::unix::fs::PermissionsExt;
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    let file = crate::stage::program::SettingsFile::new("secret");
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o0)).unwrap();
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "redis"),
        ("SESSION_REAPER_CACHE_SERVERS", "redis://127.0.0.1:1"),
        ("SESSION_REAPER_CACHE_PASSWORD_FILE", file.path()),
    ];
    // The socket's directory is closed to strangers, too.
    let (port, name) = (server().port(), database.name());
    let url = format!("postgresql://postgres@127.0.0.1:{port}/{name}");
    let arguments = ["doctor", "--json"];
    let ended = if std::fs::read(file.path()).is_ok() {
        // Root may read everything, as long as it is privileged.
        run_unprivileged(&url, &arguments, &cache).await
    } else {
        run_with(&url, &arguments, &cache).await
    };
    let found = ailments(&ended);
    assert!(
        found
            .iter()
            .any(|f| f.starts_with("cache warn: not asked, because this user may not read")),
        "{found:#?}"
    );
    assert!(named(&ended, "cache.not_asked").is_some());
}

#[tokio::test]
async fn a_cache_that_does_not_answer_is_found() {
    let database = Database::create().await;
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "redis"),
        ("SESSION_REAPER_CACHE_SERVERS", "redis://127.0.0.1:1"),
    ];
    let ended = run_with(database.url(), &["doctor", "--json"], &cache).await;
    let found = named(&ended, "cache.no_answer").unwrap();
    assert_eq!(found["verdict"], "fail");
}
