//! The site's keys grow, somebody uses the room, and they shrink again: what is kept of the longer ones must not keep the
//! pause from ending, since the site is open for as long.

use session_reaper::schema;

use super::pause::{change, execute, log_in, pause, resume, somebody, works};
use crate::{
    evict::cached::{cached_site, hold_cache, settings},
    stage::{Database, program::run, wait_until},
};

const LARGE: i64 = 3_000_000_000;

async fn with_types(database: &Database, key: &str, user: &str) -> String {
    pause(database).await;
    execute(
        database,
        &format!(
            "alter table django_session alter column session_key type varchar({key});
            alter table auth_user alter column id type {user}"
        ),
    )
    .await;
    resume(database).await
}

/// Of a user and a session that only the longer types could name, with what the record and the queues keep of them.
async fn leave_much_behind(database: &Database, user: i64) {
    let large = format!("update auth_user set id = {LARGE} where id = {user}");
    execute(database, &large).await;
    let long = log_in(database, LARGE, &"l".repeat(30)).await;
    execute(
        database,
        &format!("select session_reaper.revoke_session('{long}')"),
    )
    .await;
    let daemon = database.daemon().await;
    change(database, LARGE).await;
    database.settled().await;
    drop(daemon);
    // Nobody works on these any more.
    let long = log_in(database, LARGE, &"l".repeat(30)).await;
    let anonymous = "m".repeat(60);
    execute(
        database,
        &format!(
            "select session_reaper.revoke_session('{long}');
            insert into django_session values ('{anonymous}', '', now() + interval '1 day');
            delete from django_session where session_key = '{anonymous}'"
        ),
    )
    .await;
    change(database, LARGE).await;
    execute(
        database,
        &format!("delete from django_session where session_key = '{long}'; delete from auth_user where id = {LARGE}"),
    )
    .await;
}

#[tokio::test]
async fn keys_that_shrink_again_leave_what_named_the_longer_ones_behind() {
    let database = Database::create().await;
    let (grown, _) = somebody(&database).await;
    let (user, sessions) = somebody(&database).await;
    with_types(&database, "64", "bigint").await;
    leave_much_behind(&database, grown).await;
    let record = "select count(*) from session_reaper.revocation where reason = 'password'";
    let before = database.number(record).await;
    assert!(before >= 2);

    let said = with_types(&database, "40", "integer").await;
    for change in [
        "session_key from character varying(64) to character varying(40)",
        "user_id from bigint to integer",
    ] {
        assert!(said.contains(change), "{said}");
    }
    assert_eq!(database.number(record).await, before);
    works(&database, user, &sessions).await;
    run(database.url(), &["history"]).await.assert_done();
}

/// Its entry of the cache may still answer. A daemon has it forgotten during the pause, too.
#[tokio::test]
async fn a_longer_key_that_waits_to_be_evicted_is_waited_for() {
    let database = cached_site().await;
    let site = settings().site;
    let alter = async |sql_type: &str| {
        schema::pause(&database.target(), &site).await.unwrap();
        let alter = format!("alter table django_session alter column session_key type {sql_type}");
        execute(&database, &alter).await;
        schema::resume(&database.target(), &site).await
    };
    alter("varchar(64)").await.unwrap();
    let user = database.users(1).await[0];
    let long = log_in(&database, user.into(), &"l".repeat(40)).await;
    let _daemon = database.daemon_with(settings()).await;
    let mut site_too = database.connect().await;
    let cache = hold_cache(&mut site_too).await;
    let delete = format!("delete from django_session where session_key = '{long}'");
    execute(&database, &delete).await;

    let refused = alter("varchar(40)").await.unwrap_err().to_string();
    assert!(refused.contains("wait to be evicted"), "{refused}");
    drop(cache);
    wait_until("it has been evicted", async || {
        database
            .number("select count(*) from session_reaper.pending_eviction")
            .await
            == 0
    })
    .await;
    let resumed = schema::resume(&database.target(), &site).await.unwrap();
    assert_eq!(resumed.keys.len(), 1);
}
