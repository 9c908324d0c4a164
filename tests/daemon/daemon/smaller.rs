//! What runs out of time is tried smaller, whoever does it. Were it tried again as it was, it would run out of time for ever.

use crate::{
    evict::cached,
    stage::{
        Database,
        slow::{slow, slow_where, target_of_a_second},
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
