//! Sessions that only Django's SECRET_KEY can tell to be older than a change (design section 2).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::stage::{
    Database,
    figures::{Said::Exactly, assert_moved, metrics},
    program::{Daemon, run_with},
    slow::{A_SECOND, slow},
    wait_until,
};

const SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// A file with keys, gone when dropped.
struct KeyFile(std::path::PathBuf);

impl KeyFile {
    fn new(keys: &str) -> Self {
        let path = std::env::temp_dir().join(format!("session-reaper-keys-{}", fastrand::u64(..)));
        std::fs::write(&path, keys).unwrap();
        Self(path)
    }

    fn variables(&self) -> [(&'static str, &str); 2] {
        [
            (
                "SESSION_REAPER_LINK_SECRET_KEY_FILE",
                self.0.to_str().unwrap(),
            ),
            ("SESSION_REAPER_LINK_VERIFY_AFTER_S", "1"),
        ]
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// As `AbstractBaseUser.get_session_auth_hash` has it.
fn auth_hash(secret: &str, password: &str) -> String {
    let key = Sha256::digest(format!("{SALT}{secret}"));
    let hmac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let bytes = hmac.chain_update(password).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Users with the password "now", each with a session under the given hash, oldest first.
async fn sessions(database: &Database, hashes: &[String]) -> Vec<String> {
    let users = users(database, hashes.len()).await;
    let mut keys = Vec::new();
    // The daemon links a batch at once; each of these is to be older than the next.
    for (user, hash) in users.iter().zip(hashes) {
        keys.extend(open(database, &[*user], hash).await);
    }
    keys
}

async fn users(database: &Database, count: usize) -> Vec<i32> {
    let users = database.users(count).await;
    let change = "update auth_user set password = 'now' where id = any ($1)";
    database.execute(change, &[&users]).await.unwrap();
    users
}

/// A session of each under this hash, all at once.
async fn open(database: &Database, users: &[i32], hash: &str) -> Vec<String> {
    let mut keys = Vec::new();
    database.batch_execute("begin").await.unwrap();
    for user in users {
        let json = format!(r#"{{"_auth_user_id":"{user}","_auth_user_hash":"{hash}"}}"#);
        let data = format!("{}:1xVUK6:x", URL_SAFE_NO_PAD.encode(json));
        let key: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(32)
            .collect();
        let statement = "insert into django_session values ($1, $2, now() + interval '14 days')";
        database.execute(statement, &[&key, &data]).await.unwrap();
        keys.push(key);
    }
    database.batch_execute("commit").await.unwrap();
    let linked = format!(
        "select count(*) from session_reaper.user_session where user_id = any (array{users:?})"
    );
    wait_until("they are linked", || async {
        database.number(&linked).await == users.len() as i64
    })
    .await;
    keys
}

async fn verified(database: &Database) {
    let left = "select count(*) from session_reaper.user_session l, session_reaper.hash_check h
        where l.linked_at > h.verified_to";
    wait_until("all were compared", || async {
        database.number(left).await == 0
    })
    .await;
    database.settled().await;
}

#[tokio::test]
async fn a_session_that_was_opened_under_an_older_password_ends_and_no_other_does() {
    let database = Database::create().await;
    let keys = KeyFile::new("secret\nolder secret\n");
    let before = metrics(&database).await;
    let _daemon = Daemon::start_with(database.url(), &[], &keys.variables());
    let hashes = [
        auth_hash("secret", "before"),
        auth_hash("older secret", "now"),
        String::new(),
        auth_hash("secret", "now"),
    ];
    let sessions = sessions(&database, &hashes).await;
    verified(&database).await;
    assert_eq!(database.count(&sessions[..1]).await, 0);
    assert_eq!(database.count(&sessions[1..]).await, 3);
    assert_moved(
        &before,
        &metrics(&database).await,
        &[
            (
                "revocations_total{reason=stale_hash}",
                Exactly(0.0),
                Exactly(1.0),
            ),
            (
                "ended_sessions_total{reason=stale_hash}",
                Exactly(0.0),
                Exactly(1.0),
            ),
        ],
    );
}

/// Sessions of 1.4 MB each, as a site's user can make them, one a user.
async fn large_sessions(database: &Database, hash: &str, most: usize) {
    database.users(most).await;
    database
        .batch_execute("update auth_user set password = 'now' where password <> 'now'")
        .await
        .unwrap();
    database
        .execute(
            "insert into django_session
            select md5(u.id::text),
                translate(encode(convert_to(
                    format('{\"_auth_user_id\":\"%s\",\"_auth_user_hash\":\"%s\",\"cart\":\"%s\"}',
                        u.id, $1::text, repeat('x', 1050000)), 'utf8'), 'base64'), E'+/=\\n', '-_') || ':1xVUK6:x',
                now() + interval '14 days'
            from (select id from auth_user order by id desc limit $2) u",
            &[&hash, &(most as i64)],
        )
        .await
        .unwrap();
}

/// Read from the table, from the queue, and again to compare their hashes: never many of them at a time, since the unit
/// bounds the daemon's memory and whoever has large sessions could have it killed (P8).
#[tokio::test]
async fn many_large_sessions_take_little_memory() {
    let database = Database::create().await;
    let keys = KeyFile::new("secret\n");
    let hash = auth_hash("secret", "now");
    large_sessions(&database, &hash, 60).await;
    let daemon = Daemon::start_with(database.url(), &[], &keys.variables());
    database.sessions_backfilled().await;
    large_sessions(&database, &hash, 60).await;
    database.sessions_backfilled().await;
    verified(&database).await;
    let links = "select count(*) from session_reaper.user_session";
    assert_eq!(database.number(links).await, 120);
    let mib = daemon.most_memory_mib();
    assert!(mib < 64, "{mib} MiB for 168 MB of sessions");
}

#[tokio::test]
async fn a_key_that_is_not_the_sites_ends_nothing() {
    let database = Database::create().await;
    let keys = KeyFile::new("of another site\n");
    let daemon = Daemon::start_with(database.url(), &[], &keys.variables());
    let hashes = [auth_hash("secret", "before"), auth_hash("secret", "now")];
    let sessions = sessions(&database, &hashes).await;
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert_eq!(database.count(&sessions).await, 2);
    assert!(!daemon.log().contains("of another site"));
}

#[tokio::test]
async fn a_file_of_keys_that_is_missing_or_empty_stops_the_start() {
    let database = Database::create().await;
    let empty = KeyFile::new("\n");
    let missing = [("SESSION_REAPER_LINK_SECRET_KEY_FILE", "/nowhere/keys")];
    for (variables, says) in [
        (&empty.variables()[..1], "which is empty"),
        (&missing[..], "cannot be read"),
    ] {
        let ended = run_with(database.url(), &["run"], variables).await;
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
}

/// Tried as it was, it would be the same batch for ever.
#[tokio::test]
async fn a_comparison_that_ran_out_of_time_is_tried_with_fewer_sessions() {
    let database = Database::create().await;
    let keys = KeyFile::new("secret\n");
    let slow = slow("insert", "session_reaper.revoked_key");
    database.batch_execute(&slow).await.unwrap();
    // They are to be one batch.
    let daemon = Daemon::start(database.url());
    let theirs = users(&database, 100).await;
    let older = open(&database, &theirs, &auth_hash("secret", "before")).await;
    let newer = sessions(&database, &[auth_hash("secret", "now")]).await;
    drop(daemon);
    let variables: Vec<_> = keys.variables().into_iter().chain([A_SECOND]).collect();
    let _daemon = Daemon::start_with(database.url(), &[], &variables);
    verified(&database).await;
    assert_eq!(database.count(&older).await, 0);
    assert_eq!(database.count(&newer).await, 1);
}
