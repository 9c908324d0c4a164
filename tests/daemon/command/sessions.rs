//! `sessions USER`.

use serde_json::Value;

use crate::stage::Database;
use crate::stage::program::run;

#[tokio::test]
async fn a_users_live_sessions_are_listed_the_oldest_first_and_without_their_keys() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let (hers, his) = (
        database.log_in(users[0], 3).await,
        database.log_in(users[1], 1).await,
    );
    // The second is the oldest, the third has expired.
    database
        .execute(
            "update session_reaper.user_session set begun_at = '2026-01-02 03:04:05+00' where session_key = $1",
            &[&hers[1]],
        )
        .await
        .unwrap();
    database
        .execute(
            "update django_session set expire_date = case session_key when $1 then now() - interval '1 s' else '2100-01-01' end",
            &[&hers[2]],
        )
        .await
        .unwrap();
    let digest = async |key: &String| -> String {
        let digest = "select left(encode(sha256(convert_to($1::text, 'UTF8')), 'hex'), 12)";
        database.query_one(digest, &[key]).await.unwrap().get(0)
    };

    let user = users[0].to_string();
    run(database.url(), &["link"]).await.assert_done();
    let text = run(database.url(), &["sessions", &user]).await;
    let lines: Vec<&str> = text.assert_done().lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].starts_with(&format!(
        "{}  2026-01-02T03:04:05Z  2100-01-01T",
        digest(&hers[1]).await
    )));
    assert!(lines[2].starts_with(&digest(&hers[0]).await));

    let json = run(database.url(), &["sessions", &user, "--json"]).await;
    let listed: Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["opened_at"], "2026-01-02T03:04:05Z");
    assert_eq!(listed[0]["digest"], digest(&hers[1]).await);
    for key in hers.iter().chain(&his) {
        assert!(!text.stdout.contains(key) && !json.stdout.contains(key));
    }

    // Before the installation is before everything.
    database
        .execute(
            "update session_reaper.user_session set begun_at = '-infinity' where session_key = $1",
            &[&hers[0]],
        )
        .await
        .unwrap();
    let text = run(database.url(), &["sessions", &user]).await;
    let lines: Vec<&str> = text.assert_done().lines().collect();
    assert!(lines[1].starts_with(&format!("{}  not known", digest(&hers[0]).await)));
}

#[tokio::test]
async fn a_user_without_sessions_is_told_from_nobody() {
    let database = Database::create().await;
    let user = database.users(1).await[0].to_string();
    let behind = run(database.url(), &["sessions", &user]).await;
    assert!(behind.assert_done().contains("backfill: all sessions"));
    run(database.url(), &["link"]).await.assert_done();
    let none = run(database.url(), &["sessions", &user]).await;
    assert_eq!(
        none.assert_done(),
        format!("user {user} has no live session that is linked\n")
    );
    let none = run(database.url(), &["sessions", &user, "--json"]).await;
    assert_eq!(none.assert_done(), "[]\n");
    for nobody in ["ann", "99999999", "", "1 or true"] {
        let says = format!("there is no user {nobody}");
        run(database.url(), &["sessions", nobody])
            .await
            .assert_refused(1, &[&says, "as it stands in the user table"]);
    }
}

#[tokio::test]
async fn a_session_that_never_expires_says_never() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    database
        .batch_execute("update django_session set expire_date = 'infinity'")
        .await
        .unwrap();
    run(database.url(), &["link"]).await.assert_done();
    let listed = run(database.url(), &["sessions", &user.to_string()]).await;
    assert!(listed.assert_done().trim_end().ends_with("  never"));
    let listed = run(database.url(), &["sessions", &user.to_string(), "--json"]).await;
    let listed: Value = serde_json::from_str(listed.assert_done()).unwrap();
    assert_eq!(listed[0]["expires_at"], Value::Null);
}
