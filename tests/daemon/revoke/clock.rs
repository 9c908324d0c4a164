//! A server whose clock is set back, or behind that of the server before it: neither does a login from before the change
//! survive (P1), nor does anybody wait, or is logged out, until the clock has caught up (P2).

use session_reaper::{demo::site, settings::Settings};
use tokio_postgres::Client;

use crate::stage::{
    Database, begun, connect, django,
    faked_clock::FakedClock,
    standby::{promote, replicated},
    start_server_with, wait_until,
};

const HOUR_S: i64 = 3600;

/// A statement for what the daemon has noticed.
const STEPS: &str = "select count(*) from session_reaper.clock_step";

fn polling() -> Settings {
    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 1;
    settings
}

/// A login that has read the password, in a transaction that is still open.
async fn logging_in(database: &Database, user: i32) -> Client {
    let login = begun(database, "begin").await;
    let read = "select password from auth_user where id = $1";
    login.query(read, &[&user]).await.unwrap();
    login
}

async fn ends_with(database: &Database, login: &Client, user: i32) {
    let sessions = site::log_in(login, &[user]).await.unwrap();
    login.batch_execute("commit").await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_login_that_began_before_the_change_ends_though_the_clock_was_set_back_in_between() {
    let Some(clock) = FakedClock::find() else {
        return;
    };
    let server = start_server_with(&[], clock.variables());
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let login = logging_in(&database, user).await;
    clock.set(-HOUR_S);
    database.change_password(user).await;
    ends_with(&database, &login, user).await;
}

/// By its time alone it began after the change, and its own clock shows nothing odd when it links.
#[tokio::test]
async fn it_ends_though_the_clock_has_caught_up_before_it_links() {
    let Some(clock) = FakedClock::find() else {
        return;
    };
    let server = start_server_with(&[], clock.variables());
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let login = logging_in(&database, user).await;
    clock.set(-HOUR_S);
    wait_until("the daemon has noticed", || async {
        database.number(STEPS).await > 0
    })
    .await;
    database.change_password(user).await;
    clock.set(0);
    ends_with(&database, &login, user).await;
    wait_until("the step is over", || async {
        database.number(STEPS).await == 0
    })
    .await;
}

/// The same where the change comes before the daemon's next look.
#[tokio::test]
async fn a_change_that_was_stamped_before_the_step_was_noticed_is_stamped_anew() {
    let Some(clock) = FakedClock::find() else {
        return;
    };
    let server = start_server_with(&[], clock.variables());
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    database.number("select count(pg_current_xact_id())").await;
    let login = logging_in(&database, user).await;
    clock.set(-HOUR_S);
    let last = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    let last = database.number(last).await;
    database.change_password(user).await;
    let noticed = format!("select session_reaper.heed_step_back({HOUR_S}, 60, '{last}')");
    database.batch_execute(&noticed).await.unwrap();
    clock.set(0);
    let _daemon = database.daemon().await;
    ends_with(&database, &login, user).await;
}

#[tokio::test]
async fn nobody_is_logged_out_for_as_long_as_the_clock_is_behind() {
    let Some(clock) = FakedClock::find() else {
        return;
    };
    let server = start_server_with(&[], clock.variables());
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    clock.set(-HOUR_S);
    stays_logged_in(&database, user).await;
    // A change that is made while it is behind, too.
    database.change_password(user).await;
    database.settled().await;
    stays_logged_in(&database, user).await;
}

/// With a link of the app's, and with one that the daemon finds.
async fn stays_logged_in(database: &Database, user: i32) {
    let linked = database.log_in(user, 1).await;
    let read = django::log_in(database, user).await;
    database.sessions_backfilled().await;
    database.settled().await;
    assert_eq!(database.count(&linked).await, 1);
    assert!(django::exists(database, &read).await);
}

#[tokio::test]
async fn a_revocation_waits_for_no_time_that_the_clock_has_shown() {
    let Some(clock) = FakedClock::find() else {
        return;
    };
    let server = start_server_with(&[], clock.variables());
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let mut settings = polling();
    settings.revoke.write_back_grace_s = 2;
    let _daemon = database.daemon_with(settings).await;
    database.change_password(user).await;
    wait_until("the grace has begun", || async {
        let revoked = "select count(*) from session_reaper.revocation where state = 'revoked'";
        database.number(revoked).await == 1
    })
    .await;
    clock.set(-HOUR_S);
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn no_time_of_ours_lies_ahead_for_long() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    database.change_password(user).await;
    let times = "select format('update session_reaper.%I set %I = now() + interval ''10 years''', relation, what)
        from session_reaper.times_kept()";
    let other = "insert into session_reaper.horizon (virtual_transactions) values ('{}');
        insert into session_reaper.trouble (daemon, worker, since, attempts) values ('1', 'linker', now(), 1);
        insert into session_reaper.missed values ('eviction', '00000');
        insert into session_reaper.pending_eviction (session_key, evicted_at) values ('key', now());
        update session_reaper.backfill set begun_at = now()";
    database.batch_execute(other).await.unwrap();
    for time in database.query(times, &[]).await.unwrap() {
        database.batch_execute(time.get(0)).await.unwrap();
    }
    // What is paused keeps its daemon from starting.
    let _daemon = database.daemon_with(polling()).await;
    wait_until("no time is ahead", || async {
        let left = "select session_reaper.unset_times_ahead(0)";
        !database
            .query_one(left, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    })
    .await;
    database.settled().await;
}

#[tokio::test]
async fn after_a_failover_to_a_server_whose_clock_is_behind_nobody_is_logged_out() {
    let (Some(clock), Some(behind)) = (FakedClock::find(), FakedClock::find()) else {
        return;
    };
    let primary = start_server_with(&[], clock.variables());
    let mut database = Database::create_on(&primary).await;
    let standby = primary.standby_with(behind.variables()).unwrap();
    behind.set(-HOUR_S);
    let user = database.users(1).await[0];
    let daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    daemon.stop().await;
    let successor = connect(&standby.url(database.name())).await;
    replicated(&database.client, &successor).await;
    drop(primary);
    promote(&successor).await;
    database.client = successor;
    let target = crate::stage::target(&standby.url(database.name()));
    let _daemon = database.daemon_at(polling(), target).await;
    stays_logged_in(&database, user).await;
    let sessions = database.log_in(user, 1).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}
