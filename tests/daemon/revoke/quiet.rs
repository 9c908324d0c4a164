//! Servers on which the trigger leaves NOTIFY out, because it could fail the app's commit: polling does the work. And a daemon
//! that has none.

use std::{future::poll_fn, time::Duration};

use session_reaper::{schema, settings::Settings};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification};

use crate::stage::{Database, server_with_two_phase_commit, start_server, wait_until};

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

/// As on a server whose queue is full: to notify fails. The functions get replaced, since filling eight gigabytes takes a
/// while.
const FULL_QUEUE: &str = "
    set allow_system_table_mods = on;
    alter function pg_catalog.pg_notification_queue_usage() rename to real_queue_usage;
    create function pg_catalog.pg_notification_queue_usage() returns double precision
        language sql as 'select 0.9::double precision';
    alter function pg_catalog.pg_notify(text, text) rename to real_notify;
    create function pg_catalog.pg_notify(text, text) returns void language plpgsql
        as 'begin raise program_limit_exceeded using message = ''too many notifications in the NOTIFY queue''; end'";

#[tokio::test]
async fn a_pause_ends_and_a_daemon_serves_although_the_notification_queue_is_full() {
    let database = Database::create().await;
    let mut settings = polling();
    settings.listen.heartbeat_s = 1;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let site = Settings::default().site;
    schema::pause(&database.target(), &site).await.unwrap();
    database.change_password(user).await;
    database.batch_execute(FULL_QUEUE).await.unwrap();
    schema::resume(&database.target(), &site).await.unwrap();
    let _daemon = database.daemon_with(settings).await;
    database.served_by(1).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    let held = "select min(l.objid)::bigint from pg_locks l
        where l.locktype = 'advisory' and l.classid = 1397903442 and l.objid > 3
          and l.database = (select d.oid from pg_database d where d.datname = current_database())";
    let lock = database.number(held).await;
    let beats = "select count(*) from pg_stat_activity a
        where a.datname = current_database() and a.query like '-- revoke::channel::token::send_token%'";
    wait_until("the heart has beaten", || async {
        database.number(beats).await > 0
    })
    .await;
    assert_eq!(
        database.number(held).await,
        lock,
        "the same connection serves"
    );
}

/// The same, seen from the app.
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

/// A transaction id is a record in the WAL, and with `archive_timeout` a site where nothing happens would ship whole segments.
/// Longer than each worker's poll and than a heartbeat.
#[tokio::test]
async fn a_daemon_that_has_nothing_to_do_takes_no_transaction_id() {
    let server = start_server(&["autovacuum = off"]);
    let database = Database::create_on(&server).await;
    let mut settings = polling();
    settings.listen.heartbeat_s = 1;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon_with(settings).await;
    database.served_by(1).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    let next = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    wait_until("nothing is written for three seconds", || async {
        let before = database.number(next).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        database.number(next).await == before
    })
    .await;
}
