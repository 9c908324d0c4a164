//! What an attacker tries, and what an unusual site brings along.

use std::time::Duration;

use session_reaper::{demo::site, schema, settings::Settings};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::stage::{
    Database, connect, server, server_with_two_phase_commit, start_server, wait_until,
};

/// A table of the app's that refers to sessions, as Django makes all its foreign keys.
const TRACK: &str = "create table app_track (
    session_key varchar(40) references django_session deferrable initially deferred)";

async fn track(database: &Database, key: &str) {
    database
        .execute("insert into app_track values ($1)", &[&key])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deferred_foreign_key_on_a_session_fails_neither_the_change_nor_the_others_nor_the_purge()
{
    let server = start_server(&[]);
    let database = Database::create_on(&server).await;
    database.batch_execute(TRACK).await.unwrap();
    let users = database.users(3).await;
    let sessions = [
        database.log_in(users[0], 2).await,
        database.log_in(users[1], 1).await,
    ];
    track(&database, &sessions[0][0]).await;

    // Without a daemon, in the changing transaction.
    database.change_password(users[0]).await;
    assert_eq!(database.count(&sessions[0]).await, 1);
    let daemon = database.daemon().await;
    database.change_password(users[1]).await;
    wait_until("the other user's revocation is settled", || async {
        database.open_revocations().await == 1
    })
    .await;
    assert_eq!(database.count(&sessions[1]).await, 0);
    daemon.stop().await;

    let expired = site::abandon(&database.client, 3).await.unwrap();
    track(&database, &expired[0]).await;
    let report = database.purge().await;
    assert_eq!((report.sessions, report.refused), (2, 1));

    let _daemon = database.daemon().await;
    database
        .execute("delete from app_track", &[])
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions[0]).await, 0);
    for key in sessions.iter().flatten().chain(&expired) {
        assert!(
            !server.log().contains(key.as_str()),
            "a key is in the server's log"
        );
    }
}

/// pg_temp is searched first for types unless it is named last, and anybody may create one there.
#[tokio::test]
async fn a_type_in_pg_temp_runs_nothing_as_the_owner() {
    let mut database = Database::create().await;
    let user = database.users(1).await[0];
    let key = site::visit(&database.client, 1).await.unwrap();
    let read = "select session_reaper.credential_version(id) from auth_user";
    let version: String = database.query_one(read, &[]).await.unwrap().get(0);
    database
        .batch_execute(
            "create function pg_temp.evil(value text) returns boolean language plpgsql as
                'begin raise exception ''running as %'', current_user; end';
            create domain pg_temp.text as pg_catalog.text check (pg_temp.evil(value));
            create domain pg_temp.varchar as pg_catalog.varchar check (pg_temp.evil(value));
            create domain pg_temp.pg_snapshot as pg_catalog.pg_snapshot check (pg_temp.evil(value::pg_catalog.text))",
        )
        .await
        .unwrap();
    let link =
        "select session_reaper.link_session($1::pg_catalog.varchar, $2, $3::pg_catalog.text)";
    database
        .execute(link, &[&key[0], &user, &version])
        .await
        .unwrap();
    database
        .batch_execute("update auth_user set password = 'x'")
        .await
        .unwrap();
    // The attacker's own connection understands "text" no more.
    database.client = database.connect().await;
    assert_eq!(database.count(&key).await, 0);

    // Those that are named here have to become part of the statements that ask them, which pin it. As functions with a parsed
    // body, which would need no path, they would keep a site from changing the types of its keys.
    let unpinned = "select count(*) from pg_proc p
        where pronamespace = 'session_reaper'::regnamespace and prosqlbody is null
          and not coalesce(proconfig @> array['search_path=pg_catalog, pg_temp'], false)
          and (prosecdef or proname not in (
            'by_user', 'condemned_of_user', 'named_sessions', 'deciding', 'deletion_of',
            'policy_of', 'latency', 'totals'))";
    assert_eq!(database.number(unpinned).await, 0);
}

#[tokio::test]
async fn a_stamp_is_taken_at_the_commit_however_often_one_message_makes_constraints_immediate() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    for statement in [
        "begin".to_owned(),
        format!(
            "do $$ begin
                update auth_user set password = 'x' where id = {user};
                for i in 1..3 loop set constraints all immediate; end loop;
            end $$"
        ),
        "create table marker as select clock_timestamp() as at".to_owned(),
        "commit".to_owned(),
    ] {
        database.batch_execute(&statement).await.unwrap();
    }
    let late = "select count(*) from session_reaper.change c, marker m where c.at > m.at";
    assert_eq!(database.number(late).await, 1);
}

/// Any role that may connect can take any advisory lock, and keep it. Takes all that can be known beforehand, and says which
/// process and role has them.
async fn squat(database: &Database) -> (Client, i32, String) {
    let role = format!("squatter{}", fastrand::u32(..));
    database
        .batch_execute(&format!("create role {role} login"))
        .await
        .unwrap();
    let as_role = format!("user={role}");
    let squatter = connect(&database.url().replace("user=postgres", &as_role)).await;
    for number in 1..4 {
        let lock = format!("select pg_advisory_lock(1397903442, {number})");
        squatter.batch_execute(&lock).await.unwrap();
    }
    let row = squatter
        .query_one("select pg_backend_pid(), current_user::text", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(1), role);
    (squatter, row.get(0), role)
}

#[tokio::test]
async fn a_role_that_may_only_connect_cannot_keep_a_daemon_from_serving() {
    let database = Database::create().await;
    let _squatter = squat(&database).await;
    let daemon = database.daemon_with(Settings::default()).await;
    let served = "select session_reaper.is_served()::integer::bigint";
    assert_eq!(database.number(served).await, 1);
    daemon.stop().await;
    wait_until("nobody serves any more", || async {
        database.number(served).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_role_that_may_only_connect_cannot_keep_expired_sessions() {
    let database = Database::create().await;
    let _squatter = squat(&database).await;
    site::abandon(&database.client, 3).await.unwrap();
    let report = database.purge().await;
    assert!(!report.taken);
    assert_eq!(report.sessions, 3);
}

/// `pause`, `resume` and `uninstall` wait for the same turn.
#[tokio::test]
async fn a_role_that_may_only_connect_cannot_hold_up_migrate_without_end_and_is_named() {
    let database = Database::create().await;
    let (squatter, pid, role) = squat(&database).await;
    let migrating = database.connect().await;
    let turn = schema::lock_within(&migrating, Duration::from_millis(300));
    let turn = timeout(Duration::from_secs(10), turn).await;
    let refused = turn.expect("an end").unwrap_err().to_string();
    let names = format!("process {pid} of the role {role} holds the lock");
    assert!(refused.starts_with(&names), "{refused}");
    drop(squatter);
    schema::lock_within(&migrating, Duration::from_secs(20))
        .await
        .unwrap();
}

/// A prepared transaction's lock belongs to no process, and outlives restarts.
#[tokio::test]
async fn a_prepared_transaction_cannot_pretend_to_serve() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let id = format!("pretender{}", fastrand::u32(..));
    database
        .batch_execute(&format!(
            "begin; select pg_advisory_xact_lock_shared(1397903442, 1); prepare transaction '{id}'"
        ))
        .await
        .unwrap();
    let served = "select session_reaper.is_served()::integer::bigint";
    assert_eq!(database.number(served).await, 0);
    database
        .batch_execute(&format!("rollback prepared '{id}'"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_or_a_session_that_gets_another_key_does_not_get_away() {
    let database = Database::create().await;
    let users = database.users(3).await;
    let mut sessions = Vec::new();
    for user in &users {
        sessions.extend(database.log_in(*user, 1).await);
    }
    let daemon = database.daemon().await;
    for statements in [
        format!(
            "update auth_user set id = id + 1000, password = 'x' where id = {}",
            users[0]
        ),
        format!(
            "begin; update auth_user set password = 'x' where id = {id};
            update auth_user set id = id + 1000 where id = {id}; commit",
            id = users[1]
        ),
        format!(
            "begin; select session_reaper.revoke_session('{key}');
            update django_session set session_key = '{key}b' where session_key = '{key}'; commit",
            key = sessions[2]
        ),
    ] {
        database.batch_execute(&statements).await.unwrap();
    }
    database.settled().await;
    sessions.push(format!("{}b", sessions[2]));
    assert_eq!(database.count(&sessions).await, 0);
    drop(daemon);
}

#[tokio::test]
async fn a_session_key_of_fixed_length_is_no_single_character() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute(
            "drop index django_session_session_key_c0390e0f_like;
            alter table django_session alter column session_key type char(36)",
        )
        .await
        .unwrap();
    database.migrate().await;
    let user = database.users(1).await[0];
    let key = database.log_in(user, 2).await;
    database.change_password(user).await;
    assert_eq!(database.count(&key).await, 0);
}

#[tokio::test]
async fn row_security_that_would_hide_sessions_is_refused() {
    let database = Database::create_bare(server()).await;
    let role = format!("hidden{}", fastrand::u32(..));
    database
        .batch_execute(&format!(
            "create role {role} login; grant create on database {} to {role};
            alter table auth_user owner to {role}; alter table django_session owner to {role};
            alter table django_session enable row level security;
            alter table django_session force row level security",
            database.name()
        ))
        .await
        .unwrap();
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let refused = schema::migrate(&crate::stage::target(&url), &Settings::default().site).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("row security hides rows of public.django_session")
    );
}

#[tokio::test]
async fn one_session_does_not_stand_for_two_revocations_of_everybody() {
    let database = Database::create().await;
    let keys = site::visit(&database.client, 2).await.unwrap();
    database
        .batch_execute("select session_reaper.revoke_all(); select session_reaper.revoke_all()")
        .await
        .unwrap();
    database
        .execute(
            "insert into session_reaper.revoked_key select r.id, ($1::text[])[r.id] from session_reaper.revocation r",
            &[&keys],
        )
        .await
        .unwrap();
    let unfinished = "select cardinality(session_reaper.unfinished(array(select id from session_reaper.revocation)))::bigint";
    assert_eq!(database.number(unfinished).await, 2);
}

#[tokio::test]
async fn default_privileges_of_the_site_give_nobody_the_keys() {
    let database = Database::create_bare(server()).await;
    let role = format!("reporting{}", fastrand::u32(..));
    database
        .batch_execute(&format!(
            "create role {role} login;
            alter default privileges grant all on tables to {role};
            alter default privileges grant usage on schemas to {role};
            alter default privileges grant execute on functions to {role}"
        ))
        .await
        .unwrap();
    database.migrate().await;
    let reporting = connect(
        &database
            .url()
            .replace("user=postgres", &format!("user={role}")),
    )
    .await;
    for statement in [
        "select from session_reaper.user_session",
        "select from session_reaper.revoked_key",
        "select from session_reaper.walk",
        "update session_reaper.revocation set state = 'settled'",
        "select session_reaper.sweep('{}', 1, false)",
    ] {
        let error = reporting.batch_execute(statement).await.unwrap_err();
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("42501"),
            "{statement}"
        );
    }
}
