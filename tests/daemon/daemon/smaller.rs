//! What runs out of time is tried smaller, whoever does it: a daemon, or somebody by hand. Were it tried again as it was, it
//! would run out of time for ever.

use session_reaper::{
    demo::site,
    process::shutdown::Stop,
    purge::purger::{Purger, Report},
    schema::Site,
    settings::{Purge, Settings},
};

use crate::{
    evict::cached,
    stage::{
        Database, django,
        program::{Ended, run_with},
        server,
        slow::{A_SECOND, slow, slow_where, target_of_a_second},
        wait_until,
    },
};

/// Needs several seconds, where one is all that a statement may take.
const MANY: usize = 150;

#[tokio::test]
async fn a_table_that_forgets_slowly_is_asked_for_fewer_entries_at_once() {
    let database = cached::cached_site().await;
    let user = database.users(1).await[0];
    cached::log_in(&database, user, MANY).await;
    let _daemon = database
        .daemon_at(cached::settings(), target_of_a_second(database.url()))
        .await;
    let slow = slow("delete", "django_cache");
    database.batch_execute(&slow).await.unwrap();
    database.change_password(user).await;
    database.settled().await;
    let left = "select count(*) from django_cache";
    assert_eq!(database.number(left).await, 0);
}

/// P8: its own revocation waits, and is told of.
#[tokio::test]
async fn an_entry_that_takes_longer_than_a_statement_may_holds_up_no_other() {
    let database = cached::cached_site().await;
    let users = database.users(2).await;
    let stuck = cached::log_in(&database, users[0], 1).await;
    cached::log_in(&database, users[1], 10).await;
    let _daemon = database
        .daemon_at(cached::settings(), target_of_a_second(database.url()))
        .await;
    let which = format!("old.cache_key like '%{}'", stuck[0]);
    let slow = slow_where("delete", "django_cache", &which, 60.0);
    database.batch_execute(&slow).await.unwrap();
    for user in users {
        database.change_password(user).await;
    }
    wait_until(
        "the others are forgotten, and theirs is settled",
        async || database.open_revocations().await == 1,
    )
    .await;
    let left = "select count(*) from django_cache";
    assert_eq!(database.number(left).await, 1);
    wait_until("it is told of", async || {
        let told = "select count(*) from session_reaper.eviction where last_error like '%57014%'";
        database.number(told).await == 1
    })
    .await;
}

async fn purge(database: &Database) -> Report {
    let target = target_of_a_second(database.url());
    let site = Site::inspect(&database.client, &Settings::default().site)
        .await
        .unwrap();
    let purger = Purger::new(target.database().unwrap(), &site);
    let settings = Purge {
        pause_ratio: 0.0,
        ..Purge::default()
    };
    let purged = purger.purge(&settings, &Stop::default(), |_| {}).await;
    purged.unwrap()
}

#[tokio::test]
async fn expired_sessions_that_are_deleted_slowly_are_purged_in_smaller_batches() {
    let database = Database::create().await;
    site::abandon(&database.client, MANY).await.unwrap();
    let slow = slow("delete", "django_session");
    database.batch_execute(&slow).await.unwrap();
    assert_eq!(purge(&database).await.sessions, MANY as u64);
    let left = "select count(*) from django_session";
    assert_eq!(database.number(left).await, 0);
}

/// The next purge would begin with it again.
#[tokio::test]
async fn an_expired_session_that_takes_longer_than_a_statement_may_holds_up_no_other() {
    let database = Database::create().await;
    let expired = site::abandon(&database.client, 20).await.unwrap();
    let which = format!("old.session_key = '{}'", expired[7]);
    let slow = slow_where("delete", "django_session", &which, 60.0);
    database.batch_execute(&slow).await.unwrap();
    let report = purge(&database).await;
    assert_eq!((report.sessions, report.refused), (19, 1));
    assert_eq!(database.count(&expired).await, 1);
}

#[tokio::test]
async fn settled_revocations_that_are_deleted_slowly_are_pruned_in_smaller_batches() {
    let database = Database::create().await;
    database
        .batch_execute(&format!(
            "with c as (insert into session_reaper.change (begun_at, at, stamps) values (now(), now(), 3) returning id)
            insert into session_reaper.revocation (change_id, scope, user_id, reason, state, settled_at)
            select c.id, 'user', 1, 'x', 'settled', now() - interval '10 years' from c, generate_series(1, {MANY})"
        ))
        .await
        .unwrap();
    let slow = slow("delete", "session_reaper.revocation");
    database.batch_execute(&slow).await.unwrap();
    assert_eq!(purge(&database).await.revocations, MANY as u64);
}

async fn by_hand(database: &Database, arguments: &[&str]) -> Ended {
    run_with(database.url(), arguments, &[A_SECOND]).await
}

/// As long as it tries smaller it waits, or the next one would have to begin anew.
#[tokio::test]
async fn a_revocation_by_hand_that_ran_out_of_time_is_tried_smaller() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    // Before they are read, nobody can end them in the transaction that asks for it.
    for _ in 0..MANY {
        django::open(&database, &django::data_of(user)).await;
    }
    let slow = slow("delete", "django_session");
    database.batch_execute(&slow).await.unwrap();
    let user = user.to_string();
    let revoked = by_hand(&database, &["revoke", &user, "--wait-s", "2"]).await;
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    let left = "select count(*) from django_session";
    assert_eq!(database.number(left).await, 0);
}

#[tokio::test]
async fn linking_by_hand_that_ran_out_of_time_is_tried_smaller() {
    let database = Database::create_bare(server()).await;
    let data = django::data_of(database.users(1).await[0]);
    for _ in 0..MANY {
        django::open(&database, &data).await;
    }
    database.migrate().await;
    let slow = slow("insert", "session_reaper.user_session");
    database.batch_execute(&slow).await.unwrap();
    // These wait in the queue.
    for _ in 0..MANY {
        django::open(&database, &data).await;
    }
    let linked = by_hand(&database, &["link"]).await;
    assert_eq!(linked.code, Some(0), "{}", linked.stderr);
    let links = "select count(*) from session_reaper.user_session";
    assert_eq!(database.number(links).await, 2 * MANY as i64);
}

#[tokio::test]
async fn enforcing_by_hand_that_ran_out_of_time_is_tried_smaller() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, MANY).await;
    run_with(database.url(), &["link"], &[]).await.assert_done();
    let slow = slow("delete", "django_session");
    database.batch_execute(&slow).await.unwrap();
    let variables = [A_SECOND, ("SESSION_REAPER_POLICY_SESSIONS_MAX", "1")];
    let enforced = run_with(database.url(), &["policies"], &variables).await;
    assert_eq!(enforced.code, Some(0), "{}", enforced.stderr);
    let left = "select count(*) from django_session";
    assert_eq!(database.number(left).await, 1);
}
