//! Servers on which the trigger leaves NOTIFY out, because it could fail the app's commit: polling does the work.

use std::future::poll_fn;

use session_reaper::settings::Settings;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification};

use crate::stage::{Database, server_with_two_phase_commit};

fn polling() -> Settings {
    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 1;
    settings
}

/// Hears what the daemon would hear.
struct Ear {
    client: Client,
    heard: mpsc::UnboundedReceiver<Notification>,
}

impl Ear {
    async fn listen(url: &str) -> Self {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification);
                }
            }
        });
        client
            .batch_execute("listen session_reaper; listen enough")
            .await
            .unwrap();
        Self { client, heard }
    }

    /// How many changes it has been told of so far.
    async fn changes(&mut self) -> usize {
        self.client.batch_execute("notify enough").await.unwrap();
        let mut changes = 0;
        while self.heard.recv().await.unwrap().channel() != "enough" {
            changes += 1;
        }
        changes
    }
}

#[tokio::test]
async fn usually_a_change_is_told_once_however_many_users_it_concerns() {
    let database = Database::create().await;
    database.users(3).await;
    let mut ear = Ear::listen(database.url()).await;
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    assert_eq!(ear.changes().await, 1);
}

/// `PREPARE TRANSACTION` refuses a transaction that has notified, so where it may be used, nothing is notified.
#[tokio::test]
async fn where_two_phase_commit_is_enabled_a_change_can_be_prepared_and_polling_finds_it() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon_with(polling()).await;
    let name = format!("change_{}", fastrand::u64(..));
    for statement in [
        "begin".to_owned(),
        "update auth_user set password = 'new'".to_owned(),
        format!("prepare transaction '{name}'"),
        format!("commit prepared '{name}'"),
    ] {
        database.batch_execute(&statement).await.unwrap();
    }
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// A full queue fails the commit of whoever notifies. The function that tells how full it is gets replaced,
/// since filling eight gigabytes takes a while.
#[tokio::test]
async fn where_the_notification_queue_runs_full_the_change_commits_and_polling_finds_it() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    database
        .batch_execute(
            "set allow_system_table_mods = on;
            alter function pg_catalog.pg_notification_queue_usage() rename to real_queue_usage;
            create function pg_catalog.pg_notification_queue_usage() returns double precision
                language sql as 'select 0.9::double precision'",
        )
        .await
        .unwrap();
    let mut ear = Ear::listen(database.url()).await;
    let _daemon = database.daemon_with(polling()).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(ear.changes().await, 0);
}
