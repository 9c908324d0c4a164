//! Any number of daemons on one database: they share the work, and each piece is done once.

use session_reaper::{demo::site, settings::Settings};

use crate::stage::{Database, wait_until};

/// Small batches, so that there is something to share.
fn small_batches() -> Settings {
    let mut settings = Settings::default();
    settings.revoke.batch_rows = 5;
    settings.listen.poll_interval_s = 1;
    settings
}

#[tokio::test]
async fn three_daemons_end_each_session_once() {
    let database = Database::create().await;
    let users = database.users(200).await;
    let sessions = site::log_in(&database.client, &[users.clone(), users.clone()].concat())
        .await
        .unwrap();
    let _daemons = [
        database.daemon_with(small_batches()).await,
        database.daemon_with(small_batches()).await,
        database.daemon_with(small_batches()).await,
    ];
    // One by one and all at once, twice each, so that revocations overlap.
    for user in &users[..50] {
        database.change_password(*user).await;
    }
    database
        .batch_execute(
            "update auth_user set password = 'reset'; update auth_user set password = 'again'",
        )
        .await
        .unwrap();

    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    let ended = "select sum(sessions_ended)::bigint from session_reaper.revocation";
    assert_eq!(database.number(ended).await, 400);
    let revocations = "select count(*) from session_reaper.revocation";
    assert_eq!(database.number(revocations).await, 450);
}

#[tokio::test]
async fn when_one_daemon_of_two_ends_the_other_goes_on() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    let first = database.daemon_with(small_batches()).await;
    let _second = database.daemon_with(small_batches()).await;
    database.change_password(users[0]).await;
    first.stop().await;
    database.served_by(1).await;
    database.change_password(users[1]).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn each_time_of_the_schedule_is_taken_by_one_daemon() {
    let database = Database::create().await;
    database
        .batch_execute(
            "create table taken (tick timestamptz);
            create function note() returns trigger language plpgsql as $$
            begin
                insert into public.taken values (new.tick);
                return null;
            end $$;
            create trigger note after update of tick on session_reaper.purge
                for each row execute function note()",
        )
        .await
        .unwrap();
    let mut settings = Settings::default();
    settings.purge.schedule = "* * * * * *".to_owned();
    let _daemons = [
        database.daemon_with(settings.clone()).await,
        database.daemon_with(settings.clone()).await,
        database.daemon_with(settings).await,
    ];
    let expired = site::abandon(&database.client, 3_000).await.unwrap();
    wait_until(
        "all expired sessions are purged, a few times over",
        || async {
            database.count(&expired).await == 0
                && database.number("select count(*) from taken").await >= 3
        },
    )
    .await;
    assert_eq!(
        database
            .number(
                "select count(*) from (select from taken group by tick having count(*) > 1) twice"
            )
            .await,
        0
    );
}
