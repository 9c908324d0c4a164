//! A revocation stays open until no older session can appear any more (P1), and says what it waits for.

use session_reaper::{demo::site, settings::Settings, status};

use crate::stage::{
    Database,
    django::{data_of, open, read_table},
    server_with_two_phase_commit, wait_until,
};

async fn is_settled(database: &Database) -> bool {
    database.open_revocations().await == 0
}

/// Its sessions are deleted, and it is not settled.
async fn swept(database: &Database) {
    wait_until("it is swept", || async {
        database
            .number("select count(*) from session_reaper.revocation where state = 'revoked'")
            .await
            == 1
    })
    .await;
}

#[tokio::test]
async fn a_revocation_waits_for_a_transaction_that_has_only_read_and_says_so() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let mut app = database.connect().await;
    let reader = app.transaction().await.unwrap();
    reader.query("select 1 from auth_user", &[]).await.unwrap();
    let pid: i32 = reader
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);

    database.change_password(user).await;
    wait_until("status names the linker", || async {
        let status = status::read(&database.client, None).await.unwrap();
        status.waits_for.iter().any(|wait| wait.pid == Some(pid)) && status.revoked == 1
    })
    .await;

    reader.commit().await.unwrap();
    database.settled().await;
}

/// The ordinary case: what an in-flight login commits is ended at once, not when the slowest transaction ends.
#[tokio::test]
async fn a_late_session_ends_while_another_transaction_is_still_waited_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let (mut slow, mut app) = (database.connect().await, database.connect().await);
    let dump = slow.transaction().await.unwrap();
    dump.query("select 1 from auth_user", &[]).await.unwrap();
    let login = app.transaction().await.unwrap();
    login.query("select 1 from auth_user", &[]).await.unwrap();

    database.change_password(user).await;
    swept(&database).await;
    let sessions = site::log_in(&login, &[user]).await.unwrap();
    login.commit().await.unwrap();
    wait_until("the late session is gone", || async {
        database.count(&sessions).await == 0
    })
    .await;

    assert!(!is_settled(&database).await);
    dump.commit().await.unwrap();
    database.settled().await;
}

/// A captured transaction can turn into a prepared one, which has no virtual transaction id any more.
#[tokio::test]
async fn a_login_that_is_prepared_during_the_wait_is_waited_for() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let app = database.connect().await;
    app.batch_execute("begin; select 1 from auth_user")
        .await
        .unwrap();
    database.change_password(user).await;
    swept(&database).await;
    let sessions = site::log_in(&app, &[user]).await.unwrap();
    app.batch_execute(&format!("prepare transaction 'login{user}'"))
        .await
        .unwrap();
    wait_until("it is waited for as a prepared one", || async {
        let status = status::read(&database.client, None).await.unwrap();
        status.waits_for.iter().any(|wait| wait.kind == "prepared")
    })
    .await;

    database
        .batch_execute(&format!("commit prepared 'login{user}'"))
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_revocation_with_a_locked_session_is_not_settled_and_holds_up_no_other() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let (locked, free) = (
        database.log_in(users[0], 1).await,
        database.log_in(users[1], 1).await,
    );
    let _daemon = database.daemon().await;
    let mut app = database.connect().await;
    // Begun after nothing: it only locks, in a transaction that the horizon of the change does not hold.
    database.change_password(users[0]).await;
    database.settled().await;
    let locked = [locked, database.log_in(users[0], 1).await].concat();
    let request = app.transaction().await.unwrap();
    request
        .execute(
            "update django_session set session_data = 's' where session_key = $1",
            &[&locked[1]],
        )
        .await
        .unwrap();

    database.change_password(users[0]).await;
    database.change_password(users[1]).await;
    wait_until("the other user's session is gone", || async {
        database.count(&free).await == 0
    })
    .await;
    assert_eq!(database.count(&locked).await, 1);
    assert!(!is_settled(&database).await);

    request.commit().await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&locked).await, 0);
}

/// Two requests that hold the row in overlapping turns keep every sweep that only skips off it.
#[tokio::test]
async fn a_row_that_is_always_locked_by_somebody_is_ended_all_the_same() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let _daemon = database.daemon().await;
    let (stop, key) = (
        std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)),
        sessions[0].clone(),
    );
    let mut requests = Vec::new();
    for _ in 0..2 {
        let (mut app, stop, key) = (database.connect().await, stop.clone(), key.clone());
        requests.push(tokio::spawn(async move {
            let mut saved = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let request = app.transaction().await.unwrap();
                let save = "update django_session set session_data = 's' where session_key = $1";
                saved += request.execute(save, &[&key]).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                request.commit().await.unwrap();
            }
            saved
        }));
    }
    // Both wait for each other's turn from here on, so that the row is never free.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;

    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for request in requests {
        assert!(request.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn what_an_upserting_store_writes_back_within_the_grace_is_ended_again_and_later_counts_as_new()
 {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let mut settings = Settings::default();
    settings.revoke.write_back_grace_s = 2;
    let _daemon = database.daemon_with(settings).await;
    let upsert = "insert into django_session values ($1, 'written back', now() + interval '1 day')
        on conflict (session_key) do update set session_data = excluded.session_data";

    database.change_password(user).await;
    wait_until("it is gone", || async {
        database.count(&sessions).await == 0
    })
    .await;
    database.execute(upsert, &[&sessions[0]]).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revoked_key")
            .await,
        0
    );

    database.execute(upsert, &[&sessions[0]]).await.unwrap();
    database.change_password(database.users(1).await[0]).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 1);
}

/// Flask-Session gives the next login the key of the last one. It must not have to wait for somebody's long transaction.
#[tokio::test]
async fn a_login_under_an_ended_key_stays_after_the_grace_though_its_revocation_is_open() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let mut settings = Settings::default();
    settings.revoke.write_back_grace_s = 1;
    let _daemon = database.daemon_with(settings).await;
    let mut app = database.connect().await;
    let slow = app.transaction().await.unwrap();
    slow.query("select 1 from auth_user", &[]).await.unwrap();
    database.change_password(user).await;
    wait_until("the grace of both is over", || async {
        let over = "select count(*) from session_reaper.revoked_key where grace_over";
        database.number(over).await == 2
    })
    .await;

    let log_in = "with s as (insert into django_session values ($1, '', now() + interval '1 day') returning session_key)
        insert into session_reaper.user_session (session_key, user_id) select session_key, $2 from s";
    database
        .execute(log_in, &[&sessions[0], &user])
        .await
        .unwrap();
    // This one began before the change.
    slow.execute(log_in, &[&sessions[1], &user]).await.unwrap();
    slow.commit().await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions[..1]).await, 1);
    assert_eq!(database.count(&sessions[1..]).await, 0);
}

/// A reader that commits between two looks takes a session out of sight of the first and puts it where the second has
/// been already.
#[tokio::test]
async fn a_session_that_is_read_while_it_is_asked_what_is_left_counts_as_left() {
    let database = Database::create().await;
    read_table(&database).await;
    let user = database.users(1).await[0];
    open(&database, &data_of(user)).await;
    database.change_password(user).await;
    let mut holder = database.connect().await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("lock table session_reaper.revoked_key")
        .await
        .unwrap();
    let asking = database.connect().await;
    let asked = tokio::spawn(async move {
        let unfinished = "select cardinality(session_reaper.unfinished(array(select r.id from session_reaper.revocation r)))";
        asking
            .query_one(unfinished, &[])
            .await
            .unwrap()
            .get::<_, i32>(0)
    });
    wait_until("it is being asked", || async {
        let waiting = "select count(*) from pg_locks l where not l.granted
            and l.relation = 'session_reaper.revoked_key'::regclass";
        database.number(waiting).await == 1
    })
    .await;
    let read = format!(
        "with taken as (delete from session_reaper.pending_link returning *)
        insert into session_reaper.user_session (session_key, user_id, xid, begun_at, snapshot, from_data)
        select t.session_key, {user}, t.queued_in, t.begun_at, t.snapshot, true from taken t"
    );
    database.batch_execute(&read).await.unwrap();
    held.commit().await.unwrap();
    assert_eq!(asked.await.unwrap(), 1);
}

/// Their rows were locked until long after the grace had begun, so that only the last sweep could end them.
#[tokio::test]
async fn what_the_last_sweep_ends_has_its_grace_too() {
    let change = "update auth_user set password = 'new' where id = $1";
    for change in [change, "delete from auth_user where id = $1"] {
        a_locked_session_has_its_grace_after(change).await;
    }
}

async fn a_locked_session_has_its_grace_after(change: &str) {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 1).await;
    let mut settings = Settings::default();
    settings.revoke.write_back_grace_s = 1;
    let _daemon = database.daemon_with(settings).await;
    let mut app = database.connect().await;
    let upsert = "insert into django_session values ($1, 'written back', now() + interval '1 day')
        on conflict (session_key) do update set session_data = excluded.session_data";
    let request = app.transaction().await.unwrap();
    request.execute(upsert, &[&sessions[0]]).await.unwrap();
    database.execute(change, &[&user]).await.unwrap();
    wait_until("a grace from the first sweep would be over", || async {
        let over = "select count(*) from session_reaper.revocation where revoked_at + interval '1 second' < clock_timestamp()";
        database.number(over).await == 1
    })
    .await;
    request.commit().await.unwrap();
    wait_until("it is gone", || async {
        database.count(&sessions).await == 0
    })
    .await;

    database.execute(upsert, &[&sessions[0]]).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0, "{change}");
}

#[tokio::test]
async fn the_cap_ends_the_waiting_and_leaves_a_trace() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let mut settings = Settings::default();
    settings.revoke.settle_cap_s = 1;
    let _daemon = database.daemon_with(settings).await;
    let mut app = database.connect().await;
    let forgotten = app.transaction().await.unwrap();
    forgotten.query("select 1", &[]).await.unwrap();

    database.change_password(user).await;
    database.settled().await;

    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation where waited_out")
            .await,
        1
    );
}

/// Of one transaction's revocations, too: a session that it has written itself is older under the policy `all` alone.
#[tokio::test]
async fn a_session_that_nobody_has_read_keeps_only_what_it_may_be_older_than_from_settling() {
    let database = Database::create().await;
    read_table(&database).await;
    let users = database.users(3).await;
    let held = "select r.user_id::bigint from session_reaper.revocation r
        where r.id = any (session_reaper.unfinished(array(select i.id from session_reaper.revocation i)))";
    let (before, others, all) = (users[0], users[1], users[2]);
    let deactivate = "update auth_user set is_active = false where id";
    database
        .batch_execute(&format!("{deactivate} = {before}"))
        .await
        .unwrap();
    let data = data_of(all);
    database
        .batch_execute(&format!(
            "begin;
            insert into django_session values ('unread', '{data}', now() + interval '1 day');
            update auth_user set password = 'new' where id = {others};
            {deactivate} = {all};
            commit"
        ))
        .await
        .unwrap();
    let revocations = "select count(*) from session_reaper.revocation";
    assert_eq!(database.number(revocations).await, 3);
    assert_eq!(database.number(held).await, i64::from(all));
}

/// It begins after the change, and reads the old password all the same.
#[tokio::test]
async fn a_transaction_that_imported_a_snapshot_from_before_the_change_is_waited_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = site::visit(&database.client, 1).await.unwrap();
    let _daemon = database.daemon().await;
    let old = database.connect().await;
    old.batch_execute("begin isolation level repeatable read")
        .await
        .unwrap();
    let export = "select pg_export_snapshot()";
    let snapshot: String = old.query_one(export, &[]).await.unwrap().get(0);
    database.change_password(user).await;
    wait_until(
        "the change waits for the one that has the snapshot",
        || async {
            let waits = "select count(*) from session_reaper.horizon where not looked_again";
            database.number(waits).await == 1
        },
    )
    .await;
    let login = database.connect().await;
    let import = format!(
        "begin isolation level repeatable read; set transaction snapshot '{snapshot}'; select 1"
    );
    login.batch_execute(&import).await.unwrap();
    old.batch_execute("commit").await.unwrap();
    wait_until("it waits for the one that got it", || async {
        let waits =
            "select count(*) from session_reaper.horizon where looked_again and ended_at is null";
        database.number(waits).await == 1
    })
    .await;
    assert!(!is_settled(&database).await);
    let link = "select session_reaper.link_session($1::text::varchar, $2)";
    login.execute(link, &[&sessions[0], &user]).await.unwrap();
    login.batch_execute("commit").await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}
