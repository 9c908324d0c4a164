//! What has been read, what waits to be, and what could not be.

use session_reaper::settings::Settings;

use crate::stage::{
    Database,
    django::{data, data_of, links, log_in, open, read_table},
    figures::{
        Said::{Exactly, Nothing},
        assert_moved, metrics,
    },
    server, wait_until,
};

#[tokio::test]
async fn writes_that_wait_are_counted_and_what_came_of_them_by_reason() {
    let database = Database::create().await;
    let installed = metrics(&database).await;
    database.daemon().await.stop().await;
    let before = metrics(&database).await;
    assert_moved(
        &installed,
        &before,
        &[("backfilled", Exactly(0.0), Exactly(1.0))],
    );
    let user = database.users(1).await[0];
    for written in [
        &data_of(user),
        &data_of(user),
        &data(r#"{"cart":[1]}"#),
        "eyJfYXV0:1xVUK6:x",
        "eyJfY!V0:1xVUK6:x",
        "eyJfY!V0:1xVUK6:x",
        &data(r#"{"_auth_user_id":"\u0000"}"#),
    ] {
        open(&database, written).await;
    }
    let written = metrics(&database).await;
    assert_moved(
        &before,
        &written,
        &[("pending_links", Exactly(0.0), Exactly(7.0))],
    );
    let daemon = database.daemon().await;
    database.sessions_backfilled().await;
    daemon.stop().await;
    let read = metrics(&database).await;
    assert_moved(
        &written,
        &read,
        &[
            ("pending_links", Exactly(7.0), Exactly(0.0)),
            ("linked_sessions", Exactly(0.0), Exactly(2.0)),
            (
                "unreadable_writes_total{reason=truncated}",
                Nothing,
                Exactly(1.0),
            ),
            (
                "unreadable_writes_total{reason=not_base64}",
                Nothing,
                Exactly(2.0),
            ),
            (
                "unreadable_writes_total{reason=not_key}",
                Nothing,
                Exactly(1.0),
            ),
        ],
    );
}

#[tokio::test]
async fn a_queue_that_takes_no_more_is_told_until_a_daemon_has_read_it() {
    let database = Database::create_bare(server()).await;
    let mut settings = Settings::default();
    settings.site.queue_mb = 1;
    database.migrate_with(&settings).await;
    read_table(&database).await;
    let before = metrics(&database).await;
    let bots = "insert into django_session
        select md5(g::text), $1, now() + interval '1 day' from generate_series(1, 12000) g";
    let cart = data(r#"{"cart":[1]}"#);
    database.execute(bots, &[&cart]).await.unwrap();
    let user = database.users(1).await[0];
    log_in(&database, user).await;
    let full = metrics(&database).await;
    assert_moved(
        &before,
        &full,
        &[("queue_full", Exactly(0.0), Exactly(1.0))],
    );
    let daemon = database.daemon_with(settings).await;
    wait_until("the login is found", || async {
        links(&database).await == 1
    })
    .await;
    database.sessions_backfilled().await;
    daemon.stop().await;
    assert_moved(
        &full,
        &metrics(&database).await,
        &[
            ("queue_full", Exactly(1.0), Exactly(0.0)),
            ("linked_sessions", Exactly(0.0), Exactly(1.0)),
        ],
    );
}
