//! A site of Django: sessions as its store writes them, and what is known of them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::stage::Database;

/// Session data as Django writes it, with a signature that nobody checks.
pub fn data(json: &str) -> String {
    format!("{}:1xVUK6:{:043}", URL_SAFE_NO_PAD.encode(json), 0)
}

pub fn data_of(user: i32) -> String {
    data(&format!(
        r#"{{"_auth_user_id":"{user}","_auth_user_backend":"b","_auth_user_hash":"h{}"}}"#,
        fastrand::u32(..)
    ))
}

/// Opens a session as Django's login does in autocommit: anonymous at first, then with the user in it.
pub async fn log_in(database: &Database, user: i32) -> String {
    let key = open(database, &data(r#"{"cart":[1]}"#)).await;
    save(database, &key, &data_of(user)).await;
    key
}

pub async fn open(database: &Database, data: &str) -> String {
    let key: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(32)
        .collect();
    let statement = "insert into django_session values ($1, $2, now() + interval '14 days')";
    database.execute(statement, &[&key, &data]).await.unwrap();
    key
}

pub async fn save(database: &Database, key: &str, data: &str) {
    let statement = "update django_session set session_data = $2, expire_date = now() + interval '14 days' where session_key = $1";
    assert_eq!(
        database.execute(statement, &[&key, &data]).await.unwrap(),
        1
    );
}

pub async fn exists(database: &Database, key: &String) -> bool {
    database.count(std::slice::from_ref(key)).await == 1
}

pub async fn queued(database: &Database) -> i64 {
    database
        .number("select count(*) from session_reaper.pending_link")
        .await
}

/// The table has been read, so that nothing but the queue says what was written.
pub async fn read_table(database: &Database) {
    let read = "update session_reaper.backfill set complete = true";
    database.batch_execute(read).await.unwrap();
}

pub async fn links(database: &Database) -> i64 {
    database
        .number("select count(*) from session_reaper.user_session")
        .await
}
