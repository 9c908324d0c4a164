//! `pause` and `resume` on a site that goes on working: no statement of the app's fails because of them, nor do they.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error};

use crate::stage::{Database, program::run};

const ROUNDS: usize = 3;

/// One transaction of the app's: it has the users' table first, then the sessions', and goes on to the links.
async fn work(client: &Client, user: i32) -> Result<(), Error> {
    let key = format!("{:032x}", fastrand::u128(..));
    client
        .batch_execute(&format!(
            "begin;
            update auth_user set last_login = now() where id = {user};
            insert into django_session values ('{key}', '', now() + interval '1 day');
            select session_reaper.link_session('{key}', {user});
            delete from django_session s using session_reaper.user_session l
                where l.session_key = s.session_key and l.user_id = {user} and s.session_key <> '{key}';
            select pg_sleep(0.01);
            delete from django_session where session_key = '{key}';
            commit"
        ))
        .await
}

/// Works until it is told to stop; returns what failed.
fn visitor(client: Client, user: i32, stop: Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut failed = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = work(&client, user).await {
                failed.push(format!("{error:?}"));
                client.batch_execute("rollback").await.unwrap();
            }
        }
        failed
    })
}

#[tokio::test]
async fn no_statement_of_the_app_fails_while_the_site_is_paused_and_resumed_under_load() {
    let database = Database::create().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut visitors = Vec::new();
    for user in database.users(4).await {
        visitors.push(visitor(database.connect().await, user, stop.clone()));
    }
    for _ in 0..ROUNDS {
        for command in ["pause", "resume"] {
            run(database.url(), &[command]).await.assert_done();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        let failed = visitor.await.unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

/// With one at the table, a command used to wait for longer than `deadlock_timeout`, in a lock that all others queue behind.
#[tokio::test]
async fn a_lock_that_is_waited_for_is_given_up_before_anybody_looks_for_a_deadlock() {
    let database = Database::create().await;
    for (deadlock_timeout, first, last) in [("1s", "50ms", "400ms"), ("20ms", "10ms", "10ms")] {
        let client = database.connect().await;
        client
            .batch_execute(&format!("set deadlock_timeout = '{deadlock_timeout}'"))
            .await
            .unwrap();
        for (attempt, expected) in [(0, first), (1, first), (19, last)] {
            session_reaper::schema::wait_for_turn(&client, &[], attempt)
                .await
                .unwrap();
            let row = client.query_one("show lock_timeout", &[]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), expected);
        }
    }
}
