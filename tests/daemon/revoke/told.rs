//! An app that holds connections open hears when to look whether the session of each is still there.

use std::time::Duration;

use futures_util::stream::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::{
    evict::cached::{self, cached_site},
    stage::{
        Database, django,
        express::{express, settings},
        server, wait_until,
    },
};

/// What the app's connection hears, as long as that is there.
struct Listening {
    _client: Client,
    heard: UnboundedReceiver<String>,
}

impl Listening {
    async fn to(database: &Database) -> Self {
        let (client, mut connection) = tokio_postgres::connect(database.url(), NoTls)
            .await
            .unwrap();
        let (sender, heard) = tokio::sync::mpsc::unbounded_channel();
        let mut messages =
            futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        client
            .batch_execute("listen session_revoked")
            .await
            .unwrap();
        Self {
            _client: client,
            heard,
        }
    }

    async fn next(&mut self) -> (Value, String) {
        let heard = tokio::time::timeout(Duration::from_secs(240), self.heard.recv());
        let payload = heard.await.unwrap().unwrap();
        (serde_json::from_str(&payload).unwrap(), payload)
    }
}

#[tokio::test]
async fn each_revocation_is_told_when_its_sessions_are_gone_and_when_it_has_settled_and_never_a_key()
 {
    let database = cached_site().await;
    let user = database.users(1).await[0];
    let sessions = cached::log_in(&database, user, 1).await;
    let mut app = Listening::to(&database).await;
    let _daemon = database.daemon_with(cached::settings()).await;
    // While a session is being read it is locked, and a revocation may be told before it is gone.
    wait_until("all sessions have been read", async || {
        django::queued(&database).await == 0
    })
    .await;
    database.change_password(user).await;
    for state in ["revoked", "settled"] {
        let (told, payload) = app.next().await;
        assert_eq!(told["user"], user.to_string());
        assert_eq!(
            (&told["reason"], &told["scope"]),
            (&"password".into(), &"user".into())
        );
        assert_eq!(told["state"], state);
        assert_eq!(database.count(&sessions).await, 0);
        assert!(!payload.contains(&sessions[0]));
        assert!(told["revocation"].is_i64());
    }
}

/// PostgreSQL refuses to tell 8,000 bytes, and JSON makes six of a byte that it escapes.
#[tokio::test]
async fn a_revocation_whose_reason_or_user_is_too_long_to_be_told_is_told_all_the_same() {
    let (database, _) = express(server()).await;
    let members = "drop table members; create table members (id text primary key, pw text);
        insert into members select repeat(k, 5000), 'old' from unnest('{a,b}'::text[]) k";
    database.batch_execute(members).await.unwrap();
    let settings = settings("");
    database.migrate_with(&settings).await;
    let mut app = Listening::to(&database).await;
    let _daemon = database.daemon_with(settings).await;
    let revoke = "select session_reaper.revoke_user(id, repeat(E'\\x01', 9000)) from members order by id limit 1";
    database.execute(revoke, &[]).await.unwrap();
    for state in ["revoked", "settled"] {
        let (told, _) = app.next().await;
        assert_eq!(told["state"], state);
        // So that everybody looks.
        assert_eq!(told["user"], Value::Null);
        assert_eq!(told["scope"], "user");
        assert_eq!(told["reason"], "\u{1}".repeat(200));
    }
    let revoke = "insert into members values ('ann', 'old'); select session_reaper.revoke_user('ann', repeat('é', 9000))";
    database.batch_execute(revoke).await.unwrap();
    let (told, _) = app.next().await;
    assert_eq!(
        (&told["user"], &told["reason"]),
        (&"ann".into(), &"é".repeat(200).into())
    );
}
