//! What an app shows its staff, and ends, without ever holding a key (sql/trail.sql).

use crate::stage::Database;

const DIGEST: &str = "select left(encode(sha256(convert_to($1::text, 'UTF8')), 'hex'), 12)";

async fn digest(database: &Database, key: &str) -> String {
    database.query_one(DIGEST, &[&key]).await.unwrap().get(0)
}

async fn revoke_by_digest(database: &Database, user: i32, digest: &str) -> Option<i64> {
    let call = "select session_reaper.revoke_session_of($1, $2, 'stolen')";
    database
        .query_one(call, &[&user, &digest])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn a_session_is_ended_by_its_digest_and_no_other_one() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let hers = database.log_in(users[0], 3).await;
    let his = database.log_in(users[1], 1).await;

    let shown = digest(&database, &hers[1]).await;
    assert!(
        revoke_by_digest(&database, users[0], &shown)
            .await
            .is_some()
    );

    assert_eq!(database.count(&hers).await, 2);
    assert_eq!(database.count(&hers[1..2]).await, 0);
    assert_eq!(database.count(&his).await, 1);
}

#[tokio::test]
async fn nobody_ends_a_strangers_session_by_a_digest_that_he_has_seen() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let hers = database.log_in(users[0], 1).await;

    let shown = digest(&database, &hers[0]).await;

    assert_eq!(revoke_by_digest(&database, users[1], &shown).await, None);
    assert_eq!(revoke_by_digest(&database, users[0], "").await, None);
    assert_eq!(database.count(&hers).await, 1);
}

#[tokio::test]
async fn the_trail_shows_who_asked_and_holds_neither_a_key_nor_its_digest() {
    let database = Database::create().await;
    let users = database.users(1).await;
    let keys = database.log_in(users[0], 2).await;
    database
        .execute(
            "select session_reaper.revoke_user($1, 'laptop stolen', $2)",
            &[&users[0], &keys[0]],
        )
        .await
        .unwrap();

    let shown: String = database
        .query_one(
            "select string_agg(r::text || c::text, ' ')
            from session_reaper.revocation_trail r
            join session_reaper.change_trail c on c.id = r.change_id",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let kept: String = database
        .query_one("select keep_digest from session_reaper.revocation", &[])
        .await
        .unwrap()
        .get(0);

    assert!(shown.contains("laptop stolen"), "{shown}");
    assert!(!shown.contains(&kept), "{shown}");
    assert!(keys.iter().all(|key| !shown.contains(key)), "{shown}");
}
