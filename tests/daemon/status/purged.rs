//! What was purged, when, and how long that took.

use session_reaper::{demo::site, settings::Settings};

use crate::stage::{
    Database,
    figures::{
        Said::{AtLeast, Exactly, Nothing},
        assert_moved, metrics,
    },
    wait_until,
};

/// The time of the schedule is one that has passed, which a daemon makes up for once.
#[tokio::test]
async fn a_scheduled_purge_is_told_with_what_it_deleted_and_how_long_it_took() {
    let database = Database::create().await;
    site::abandon(&database.client, 3).await.unwrap();
    let slow = "create function rest() returns trigger language plpgsql as 'begin perform pg_sleep(0.1); return old; end';
        create trigger rest before delete on django_session for each row execute function rest()";
    database.batch_execute(slow).await.unwrap();
    let before = metrics(&database).await;
    let mut settings = Settings::default();
    "0 0 0 1 1 *".clone_into(&mut settings.purge.schedule);
    let daemon = database.daemon_with(settings).await;
    let ended = "select count(*) from session_reaper.purge where finished_at is not null";
    wait_until("the purge has ended", || async {
        database.number(ended).await == 1
    })
    .await;
    daemon.stop().await;
    let ended_at =
        "select extract(epoch from finished_at)::double precision from session_reaper.purge";
    let ended_at = database.query_one(ended_at, &[]).await.unwrap().get(0);
    assert_moved(
        &before,
        &metrics(&database).await,
        &[
            ("last_purge_sessions", Nothing, Exactly(3.0)),
            ("last_purge_timestamp_seconds", Nothing, Exactly(ended_at)),
            ("last_purge_duration_seconds", Nothing, AtLeast(0.3)),
            ("purged_sessions_total", Exactly(0.0), Exactly(3.0)),
        ],
    );
}
