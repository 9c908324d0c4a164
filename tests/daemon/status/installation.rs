//! Whether it is installed, served, in order and at work.

use crate::stage::{
    Database,
    figures::{
        Said::{Exactly, Nothing},
        assert_moved, metrics,
    },
    program::run,
    server,
};

#[tokio::test]
async fn what_is_installed_and_served_is_told_until_it_is_no_more() {
    let database = Database::create_bare(server()).await;
    let bare = metrics(&database).await;
    database.migrate().await;
    let installed = metrics(&database).await;
    assert_moved(
        &bare,
        &installed,
        &[
            ("build_info", Nothing, Exactly(1.0)),
            ("unknown", Exactly(1.0), Exactly(0.0)),
            ("problems", Nothing, Exactly(0.0)),
        ],
    );
    let daemon = database.daemon().await;
    let served = metrics(&database).await;
    assert_moved(
        &installed,
        &served,
        &[("served", Exactly(0.0), Exactly(1.0))],
    );
    // One of two is enough.
    let other = database.daemon().await;
    daemon.stop().await;
    assert_eq!(metrics(&database).await, served);
    other.stop().await;
    let left = metrics(&database).await;
    assert_moved(&served, &left, &[("served", Exactly(1.0), Exactly(0.0))]);
}

#[tokio::test]
async fn a_pause_and_a_trigger_that_is_gone_are_told_until_they_are_over() {
    let database = Database::create().await;
    let well = metrics(&database).await;
    run(database.url(), &["pause"]).await.assert_done();
    let paused = metrics(&database).await;
    assert_moved(&well, &paused, &[("paused", Exactly(0.0), Exactly(1.0))]);
    run(database.url(), &["resume"]).await.assert_done();
    database
        .batch_execute("drop trigger session_reaper_update_password on auth_user")
        .await
        .unwrap();
    let harmed = metrics(&database).await;
    assert_moved(
        &paused,
        &harmed,
        &[
            ("paused", Exactly(1.0), Exactly(0.0)),
            ("problems", Exactly(0.0), Exactly(1.0)),
        ],
    );
    run(database.url(), &["migrate"]).await.assert_done();
    let mended = metrics(&database).await;
    assert_moved(
        &harmed,
        &mended,
        &[("problems", Exactly(1.0), Exactly(0.0))],
    );
}
