//! What a batch costs does not grow with what has been before, with what merely waits, or with what others have asked for.

use session_reaper::{demo::site, settings::Settings};
use tokio_postgres::Client;

use crate::stage::{Database, impatient_target, slow::slow, start_server, wait_until};

/// Changes and logins of a few users in every order: seen and unseen, stamped before and after, by the same transaction, kept.
/// Transactions with ids below 700 are over; the sessions' snapshots see some of them.
const ANY_HISTORY: &str = "
    insert into session_reaper.change (xid, begun_at, at, stamps)
    select (100 + n)::text::xid8, '2020-01-01'::timestamptz + n * interval '1 s',
           '2020-01-01'::timestamptz + (n + (random() * 5)::integer) * interval '1 s', 3
    from generate_series(1, 60) n;
    insert into session_reaper.revocation
        (change_id, scope, user_id, reason, policy, keep_digest, state, changed_in, changed_at)
    select c.id, case when p.everybody then 'all' else 'user' end, case when p.everybody then null else p.owner end,
           'requested', p.policy, case when p.kept < 1 then (session_reaper.keep_digests('s' || p.kept))[1] end,
           'revoked', c.xid, c.at
    from session_reaper.change c
    cross join lateral (
        select random() < 0.1 as everybody, (select u.id from auth_user u order by random() + c.id limit 1) as owner,
               case when random() < 0.3 then 'all' else 'others' end as policy, (random() * 12)::integer as kept
        from generate_series(1, 4) g where g + c.id > 0
    ) p;
    insert into django_session select 's' || n, '', now() + interval '1 day' from generate_series(0, 200) n;
    insert into session_reaper.user_session (session_key, user_id, xid, begun_at, snapshot)
    select 's' || n, (select u.id from auth_user u order by random() + n limit 1), x.own::text::xid8,
           '2020-01-01'::timestamptz + x.own * interval '1 s' - interval '100 s',
           format('%s:%s:%s', x.own - x.back, x.own, (
               select string_agg(g::text, ',' order by g) from generate_series(x.own - x.back, x.own - 1) g
               where (g * 7 + n) % 3 = 0))::pg_snapshot
    from generate_series(0, 200) n
    cross join lateral (select 101 + (random() * 70)::integer as own, (random() * 6)::integer as back where n >= 0) x";

/// Those that the age rule says, asked of each pair.
const ENDED: &str = "select l.session_key
    from session_reaper.user_session l
    join session_reaper.revocation r on r.scope = 'all' or r.scope = 'user' and r.user_id = l.user_id
    join session_reaper.change c on c.id = r.change_id
    where session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
      and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy)";

async fn with_any_history() -> Database {
    let database = Database::create().await;
    database.users(3).await;
    database
        .batch_execute(&format!(
            "set session_replication_role = replica; {ANY_HISTORY}; reset session_replication_role"
        ))
        .await
        .unwrap();
    let ended = database
        .number(&format!(
            "select count(distinct e.session_key) from ({ENDED}) e"
        ))
        .await;
    assert!(
        (10..=195).contains(&ended),
        "{ended} of 201 would show little"
    );
    database
}

#[tokio::test]
async fn the_changes_that_decide_about_a_session_end_whatever_any_change_ends() {
    for _ in 0..3 {
        let database = with_any_history().await;
        let decided = "select l.session_key from session_reaper.user_session l
            where exists (select from session_reaper.deciding(l.user_id, l.session_key, l.xid, l.begun_at, l.snapshot))";
        assert_same(&database, ENDED, decided).await;
    }
}

/// The same for those revocations that are still open, user by user: each session once, and each revocation that has one.
#[tokio::test]
async fn a_look_at_all_revocations_of_a_user_finds_what_a_look_at_each_finds() {
    for _ in 0..3 {
        let database = with_any_history().await;
        let of_users = format!("{ENDED} and r.scope = 'user'");
        let found = "select e.session_key
            from session_reaper.by_user(array(select r.id from session_reaper.revocation r)) u
            cross join lateral session_reaper.condemned_of_user(u.user_id, u.ids, u.xids, u.latest) e";
        assert_same(&database, &of_users, found).await;
        let each_once = format!("select count(*) - count(distinct f.session_key) from ({found}) f");
        assert_eq!(database.number(&each_once).await, 0);
        let revocations = ENDED.replacen("select l.session_key", "select r.id", 1);
        let with_sessions = "select w.* from session_reaper.with_sessions(array(select r.id from session_reaper.revocation r)) w (id)";
        assert_same(&database, &revocations, with_sessions).await;
    }
}

async fn assert_same(database: &Database, one: &str, other: &str) {
    for (left, right) in [(one, other), (other, one)] {
        let differing = format!("select count(*) from ({left} except {right}) d");
        assert_eq!(
            database.number(&differing).await,
            0,
            "{left} EXCEPT {right}"
        );
    }
}

/// `revoke_user()` on a button that somebody presses all day.
#[tokio::test]
async fn a_link_is_held_against_a_few_revocations_however_many_there_have_been() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 20).await;
    database
        .batch_execute(&format!(
            "insert into session_reaper.change (xid, begun_at, at, stamps)
            select '3'::xid8, now() - (6000 - n) * interval '1 s', now() - (6000 - n) * interval '1 s', 3
            from generate_series(1, 5000) n;
            insert into session_reaper.revocation (change_id, scope, user_id, reason, state, settled_at, changed_in, changed_at)
            select c.id, 'user', {user}, 'requested', 'settled', now(), c.xid, c.at from session_reaper.change c;
            update session_reaper.user_session set xid = '3', begun_at = '-infinity', snapshot = '1:1:'
            where session_key in ('{}');
            -- As make_links() has it planned.
            set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off;
            set enable_mergejoin = off; set jit = off",
            sessions[..10].join("', '")
        ))
        .await
        .unwrap();
    let decided = "select l.session_key, d.id from session_reaper.user_session l
        left join lateral session_reaper.deciding(l.user_id, l.session_key, l.xid, l.begun_at, l.snapshot) d (id) on true";
    let ended = format!("select count(id) from ({decided}) d");
    assert_eq!(database.number(&ended).await, 10);
    // Before autoanalyze comes, and afterwards.
    for statistics in [
        "select",
        "analyze session_reaper.revocation, session_reaper.change",
    ] {
        database.batch_execute(statistics).await.unwrap();
        let looked_at = rows_of_revocations(&database.client, decided).await;
        assert!(looked_at < 100.0, "{looked_at} for 20 links, {statistics}");
    }
}

/// How many rows of the revocations a statement has read.
async fn rows_of_revocations(client: &Client, statement: &str) -> f64 {
    let explain = format!("explain (analyze, costs off, timing off) {statement}");
    let plan = client.query(&explain, &[]).await.unwrap();
    let lines = plan.iter().map(|row| row.get::<_, String>(0));
    let scans = lines.filter(|line| line.contains("revocation"));
    let rows = scans.filter_map(|line| {
        let (_, rows) = line.split_once("actual rows=")?;
        let (rows, loops) = rows.split_once(" loops=")?;
        Some(rows.parse::<f64>().ok()? * loops.trim_end_matches(')').parse::<f64>().ok()?)
    });
    rows.sum()
}

/// A user who asks 200 times and has 300 newer sessions. A transaction that writes has been open since before the first.
async fn with_a_long_history(database: &Database) -> i32 {
    let user = database.users(1).await[0];
    database.log_in(user, 300).await;
    database
        .batch_execute(&format!(
            "insert into session_reaper.change (xid, begun_at, at, stamps)
            select (200 + n)::text::xid8, now() - (6000 - n) * interval '1 s', now() - (6000 - n) * interval '1 s', 3
            from generate_series(1, 200) n;
            insert into session_reaper.revocation (change_id, scope, user_id, reason, state, changed_in, changed_at)
            select c.id, 'user', {user}, 'requested', 'revoked', c.xid, c.at from session_reaper.change c;
            update session_reaper.user_session
            set snapshot = format('100:%s:100', pg_snapshot_xmax(snapshot))::pg_snapshot"
        ))
        .await
        .unwrap();
    user
}

/// How many rows of these tables a statement has read, functions and all.
async fn rows_read(database: &Database, tables: &str, statement: &str) -> i64 {
    let read = format!(
        "select sum(seq_tup_read + idx_tup_fetch)::bigint from pg_stat_xact_user_tables
        where schemaname = 'session_reaper' and relname in ({tables})"
    );
    database.batch_execute("begin").await.unwrap();
    let before = database.number(&read).await;
    database.query(statement, &[]).await.unwrap();
    let after = database.number(&read).await;
    database.batch_execute("rollback").await.unwrap();
    after - before
}

#[tokio::test]
async fn a_newer_session_is_looked_at_once_however_often_its_user_has_asked() {
    let database = Database::create().await;
    with_a_long_history(&database).await;
    let look =
        "select session_reaper.with_sessions(array(select r.id from session_reaper.revocation r))";
    assert!(database.query(look, &[]).await.unwrap().is_empty());
    let tables = "'user_session', 'revocation', 'change'";
    let read = rows_read(&database, tables, look).await;
    assert!(read <= 4000, "{read} rows for 300 sessions");
    let sweep = "select s.* from session_reaper.sweep_free(array(select r.id from session_reaper.revocation r), 5, false) s";
    let read = rows_read(&database, tables, sweep).await;
    assert!(read <= 4000, "{read} rows for 300 sessions");
}

#[tokio::test]
async fn requests_of_one_user_end_his_sessions_together() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 600).await;
    database
        .batch_execute(&format!(
            "insert into session_reaper.change (xid, begun_at, at, stamps)
            select pg_current_xact_id(), now() + n * interval '1 us', now() + interval '1 s', 3 from generate_series(1, 80) n;
            insert into session_reaper.revocation (change_id, scope, user_id, reason)
            select c.id, 'user', {user}, 'requested' from session_reaper.change c"
        ))
        .await
        .unwrap();
    let sweep = "select s.ended, cardinality(s.unswept) from session_reaper.sweep_free(
        array(select r.id from session_reaper.revocation r), 5, false) s";
    for (ended, unswept) in [(400, 80), (200, 0)] {
        let row = database.query_one(sweep, &[]).await.unwrap();
        assert_eq!(
            (row.get::<_, i64>(0), row.get::<_, i32>(1)),
            (ended, unswept)
        );
    }
}

#[tokio::test]
async fn a_change_waits_behind_no_mass_of_requests_of_one_user() {
    let database = Database::create().await;
    let users = database.users(2).await;
    database.log_in(users[0], 300).await;
    note_marks(&database).await;
    // As if a daemon served them.
    for _ in 0..60 {
        let ask = format!("select session_reaper.revoke_user({})", users[0]);
        database
            .batch_execute(&format!("begin; set local session_replication_role = replica; {ask}; update session_reaper.change set at = clock_timestamp(), stamps = 3 where at is null; commit"))
            .await
            .unwrap();
    }
    let sessions = database.log_in(users[1], 3).await;
    database.change_password(users[1]).await;
    let daemon = database.daemon_with(small_batches()).await;
    database.settled().await;
    daemon.stop().await;
    assert_eq!(database.count(&sessions).await, 0);
    let before = format!(
        "select count(*) from marked m where m.by_transaction < (select s.by_transaction from marked s where s.user_id = {})",
        users[1]
    );
    assert_eq!(database.number("select count(*) from marked").await, 61);
    assert_eq!(database.number(&before).await, 0);
}

/// Statistics of a time when each change was of one user.
#[tokio::test]
async fn ending_sessions_of_a_bulk_change_looks_at_these_revocations_only() {
    let server = start_server(&["autovacuum = off"]);
    let database = Database::create_on(&server).await;
    let users = database.users(2000).await;
    database
        .batch_execute(
            "insert into session_reaper.change (xid, begun_at, at, stamps)
            select '3', now() - n * interval '1 s', now() - n * interval '1 s', 3 from generate_series(1, 2000) n;
            insert into session_reaper.revocation (change_id, scope, user_id, reason, state, settled_at)
            select c.id, 'user', (select min(u.id) from auth_user u), 'requested', 'settled', now() from session_reaper.change c;
            analyze session_reaper.change, session_reaper.revocation",
        )
        .await
        .unwrap();
    for _ in 0..4 {
        site::log_in(&database.client, &users).await.unwrap();
    }
    database
        .batch_execute(
            "insert into session_reaper.change (xid, begun_at, at, stamps) values (pg_current_xact_id(), now(), now() + interval '1 h', 3);
            insert into session_reaper.revocation (change_id, scope, user_id, reason)
            select c.id, 'user', u.id, 'password' from auth_user u cross join (select max(id) as id from session_reaper.change) c",
        )
        .await
        .unwrap();
    let sweep = "select s.* from session_reaper.sweep_free(
        array(select r.id from session_reaper.revocation r where r.state = 'requested' order by r.id limit 250), 4, false) s";
    let ids = "select array(select r.id from session_reaper.revocation r where r.state = 'requested' order by r.id limit 250)";
    let without = rows_read(&database, "'revocation', 'change'", ids).await;
    let read = rows_read(&database, "'revocation', 'change'", sweep).await - without;
    assert!(read <= 250 * 40, "{read} rows for 250 revocations");
}

#[tokio::test]
async fn a_sweep_that_ran_out_of_time_is_tried_smaller() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 150).await;
    let daemon = database
        .daemon_at(Settings::default(), impatient_target(database.url()))
        .await;
    database
        .batch_execute(&slow("delete", "django_session"))
        .await
        .unwrap();
    database.change_password(user).await;
    database.settled().await;
    daemon.stop().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn reading_that_ran_out_of_time_is_tried_smaller() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let daemon = database
        .daemon_at(Settings::default(), impatient_target(database.url()))
        .await;
    database.sessions_backfilled().await;
    database
        .batch_execute(&slow("insert", "session_reaper.user_session"))
        .await
        .unwrap();
    database.batch_execute("begin").await.unwrap();
    site::log_in(&database.client, &[user; 150]).await.unwrap();
    database.batch_execute("commit").await.unwrap();
    let linked = "select count(*) from session_reaper.user_session";
    wait_until("all are linked", || async {
        database.number(linked).await == 150
    })
    .await;
    daemon.stop().await;
}

/// Notes of each revocation, when it is marked, in which transaction that is and how many sessions it has left.
async fn note_marks(database: &Database) {
    database
        .batch_execute(
            "create table marked (id bigint, user_id integer, by_transaction xid8, left_over bigint);
            create function note() returns trigger language plpgsql as $$
            begin
                insert into public.marked select new.id, new.user_id, pg_current_xact_id(), count(*)
                from session_reaper.user_session l where l.user_id = new.user_id;
                return null;
            end $$;
            create trigger note after update on session_reaper.revocation for each row
                when (new.state = 'revoked' and old.state = 'requested') execute function note()",
        )
        .await
        .unwrap();
}

fn small_batches() -> Settings {
    let mut settings = Settings::default();
    settings.revoke.batch_rows = 40;
    settings
}

#[tokio::test]
async fn no_revocation_is_marked_before_all_of_its_free_sessions_have_ended() {
    let database = Database::create().await;
    let users = database.users(150).await;
    let mut sessions = site::log_in(
        &database.client,
        &[users.clone(), users.clone(), users.clone()].concat(),
    )
    .await
    .unwrap();
    sessions.extend(database.log_in(users[0], 200).await);
    note_marks(&database).await;
    let daemon = database.daemon_with(small_batches()).await;
    site::change_passwords(&database.client, &users)
        .await
        .unwrap();
    database.settled().await;
    daemon.stop().await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(database.number("select count(*) from marked").await, 150);
    assert_eq!(
        database
            .number("select sum(left_over)::bigint from marked")
            .await,
        0
    );
}

#[tokio::test]
async fn a_single_change_is_not_worked_on_behind_a_mass_of_others() {
    let database = Database::create().await;
    let users = database.users(400).await;
    note_marks(&database).await;
    // Without a daemon these wait.
    site::change_passwords(&database.client, &users[1..])
        .await
        .unwrap();
    database.change_password(users[0]).await;
    let daemon = database.daemon_with(small_batches()).await;
    database.settled().await;
    daemon.stop().await;
    let before = format!(
        "select count(*) from marked m where m.by_transaction < (select s.by_transaction from marked s where s.user_id = {})",
        users[0]
    );
    assert_eq!(database.number("select count(*) from marked").await, 400);
    assert!(
        database.number(&before).await <= 50,
        "at most one fifty of the others is ahead"
    );
}

#[tokio::test]
async fn what_merely_waits_for_a_transaction_is_not_written_pass_after_pass() {
    let server = start_server(&["autovacuum = off", "checkpoint_timeout = 1h"]);
    let database = Database::create_on(&server).await;
    let users = database.users(300).await;
    let _daemon = database.daemon().await;
    let mut app = database.connect().await;
    let idle = app.transaction().await.unwrap();
    idle.query("select 1 from auth_user", &[]).await.unwrap();
    for user in &users {
        database.change_password(*user).await;
    }
    wait_until("all of them wait", || async {
        let waiting = "select count(*) from session_reaper.revocation r where r.state = 'revoked' and r.horizon_id is not null";
        database.number(waiting).await == 300
    })
    .await;
    assert!(
        database
            .number("select count(*) from session_reaper.horizon where passed_at is null")
            .await
            > 5
    );
    let commits = "select xact_commit from pg_stat_database where datname = current_database()";
    let written = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let (commits_before, before) = (
        database.number(commits).await,
        database.number(written).await,
    );
    wait_until("a few passes have looked at them", || async {
        database.number(commits).await > commits_before + 60
    })
    .await;
    let bytes = database.number(written).await - before;
    assert!(
        bytes < 15_000,
        "{bytes} bytes for 300 revocations that wait"
    );
    idle.commit().await.unwrap();
    database.settled().await;
}
