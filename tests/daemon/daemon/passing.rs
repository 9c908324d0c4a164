//! Nobody gives up because somebody else holds a lock for a while: not a command, and not those who count side by side.

use crate::stage::{
    Database,
    django::{data, open},
    program::{Ended, run},
    server, wait_until,
};

const UNKNOWN_USERS: usize = 20;

async fn nobodies(database: &Database) -> i64 {
    let counted = "select coalesce(sum(writes), 0)::bigint from session_reaper.unreadable where reason = 'nobody'";
    database.number(counted).await
}

#[tokio::test]
async fn those_who_count_unreadable_sessions_side_by_side_do_not_wait_for_each_other() {
    let database = Database::create_bare(server()).await;
    for _ in 0..UNKNOWN_USERS {
        open(&database, &data(r#"{"_auth_user_id":"2000000000"}"#)).await;
    }
    database.migrate().await;
    let other = database.connect().await;
    other
        .batch_execute("begin; select session_reaper.count_unreadable('{nobody}', '{1}')")
        .await
        .unwrap();
    let third = database.connect().await;
    third
        .batch_execute("begin; select session_reaper.count_unreadable('{nobody}', '{1}')")
        .await
        .unwrap();
    run(database.url(), &["link"]).await.assert_done();
    other.batch_execute("commit").await.unwrap();
    third.batch_execute("commit").await.unwrap();
    assert_eq!(nobodies(&database).await, UNKNOWN_USERS as i64 + 2);
    let status = run(database.url(), &["status"]).await.stdout;
    assert!(status.contains("nobody 22"), "{status}");
}

/// Holds the site's sessions until the command has waited for them in vain at least once.
async fn run_beside_a_lock(database: &Database, arguments: &[&str]) -> Ended {
    let holder = database.connect().await;
    holder
        .batch_execute("begin; lock table django_session in access exclusive mode")
        .await
        .unwrap();
    let waiting =
        "select count(*) from pg_locks where not granted and relation = 'django_session'::regclass";
    let meddle = async {
        for is_waiting in [true, false] {
            let what = format!("{arguments:?} waits: {is_waiting}");
            wait_until(&what, || async {
                (database.number(waiting).await > 0) == is_waiting
            })
            .await;
        }
        holder.batch_execute("commit").await.unwrap();
    };
    let (ended, ()) = tokio::join!(run(database.url(), arguments), meddle);
    ended
}

#[tokio::test]
async fn no_command_gives_up_at_a_lock_that_passes() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 2).await;
    let user = user.to_string();
    for arguments in [
        &["link"][..],
        &["purge"],
        &["sessions", &user],
        &["revoke", &user],
        &["pause"],
        &["resume"],
        &["migrate"],
        &["uninstall", "--yes"],
    ] {
        let ended = run_beside_a_lock(&database, arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    }
}
