//! `pause` and `resume` around the site's own migrations: nothing of ours is in their way, no changed password is lost,
//! and afterwards everything fits again.

use std::time::Duration;

use serde_json::Value;
use session_reaper::{
    demo::site,
    schema,
    settings::{Event, Policy, Settings, Site, Watched},
};
use tokio_postgres::{Client, types::ToSql};

use crate::stage::{
    Database, Running,
    program::{self, Daemon, run},
    server, wait_until,
};

pub async fn pause(database: &Database) -> String {
    let ended = run(database.url(), &["pause"]).await;
    ended.assert_done().to_owned()
}

pub async fn resume(database: &Database) -> String {
    let ended = run(database.url(), &["resume"]).await;
    ended.assert_done().to_owned()
}

pub async fn execute(client: &Client, statements: &str) {
    if let Err(error) = client.batch_execute(statements).await {
        panic!("{statements}: {error:?}");
    }
}

/// A change ends the older sessions, whose links are still there, and no later one; and all is as a fresh
/// installation would have it.
pub async fn works(database: &Database, user: i64, older: &[String]) {
    assert_eq!(database.count(older).await, older.len());
    let ended = run(database.url(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&status["paused"], status["problems"].to_string().as_str()),
        (&Value::Null, "[]")
    );
    change(database, user).await;
    let later = log_in(database, user, "later").await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(older).await, 0);
    assert_eq!(database.count(&[later]).await, 1);
    let installed = run(database.url(), &["migrate"]).await;
    assert_eq!(
        installed.assert_done().lines().count(),
        1,
        "{}",
        installed.stdout
    );
}

/// By the key as text, which may have become a bigint.
pub async fn change(client: &Client, user: i64) {
    execute(
        client,
        &format!("update auth_user set password = md5(random()::text) where id = {user}"),
    )
    .await;
}

pub async fn log_in(client: &Client, user: i64, key: &str) -> String {
    let key = format!("{key}{:016x}", fastrand::u64(..));
    execute(
        client,
        &format!(
            "insert into django_session values ('{key}', 'data', now() + interval '1 day');
            select session_reaper.link_session('{key}', {user})"
        ),
    )
    .await;
    key
}

/// A user with two sessions.
pub async fn somebody(database: &Database) -> (i64, Vec<String>) {
    let user = database.users(1).await[0];
    (user.into(), database.log_in(user, 2).await)
}

#[tokio::test]
async fn a_password_column_that_could_not_be_altered_can_be_while_paused() {
    for alteration in [
        "alter table auth_user alter column password type varchar(256)",
        "alter table auth_user alter column password type text",
        "alter table auth_user alter column is_active type integer using is_active::integer",
        "alter table auth_user alter column id type bigint",
        "alter table django_session alter column session_key type varchar(64)",
        "alter table django_session alter column expire_date type timestamptz(3)",
    ] {
        let database = Database::create().await;
        let (user, sessions) = somebody(&database).await;
        let refused = database.batch_execute(alteration).await.unwrap_err();
        let refused = refused.as_db_error().unwrap();
        assert!(
            refused
                .message()
                .starts_with("cannot alter type of a column used"),
            "{refused}"
        );

        pause(&database).await;
        execute(&database, alteration).await;
        if alteration.contains("is_active") {
            execute(&database, "alter table auth_user alter column is_active type boolean using is_active::boolean").await;
        }
        resume(&database).await;
        works(&database, user, &sessions).await;
    }
}

#[tokio::test]
async fn a_change_made_during_the_pause_is_honoured_after_it_and_spares_what_came_later() {
    for served in [true, false] {
        let database = Database::create().await;
        let (user, sessions) = somebody(&database).await;
        let (other, bystander) = somebody(&database).await;
        let _daemon = daemon(&database, served).await;
        pause(&database).await;
        // Twice on one connection, with another type in between: what the first has planned must not fail the second.
        change(&database, other).await;
        change(&database, user).await;
        execute(
            &database,
            "alter table auth_user alter column password type varchar(256)",
        )
        .await;
        execute(
            &database,
            "alter table auth_user alter column id type bigint",
        )
        .await;
        change(&database, user).await;
        let later = log_in(&database, user, "later").await;
        execute(
            &database,
            &format!("begin; update auth_user set password = 'x' where id = {other}; rollback"),
        )
        .await;
        assert_eq!(
            database.count(&sessions).await,
            2,
            "nothing ends in a pause"
        );
        assert_eq!(database.count(&bystander).await, 2);
        let requested = "select count(*) from session_reaper.revocation where state = 'requested'";
        assert_eq!(database.number(requested).await, 3);

        let said = resume(&database).await;
        assert!(said.contains("3 revocations waited"), "{said}");
        let _daemon = if served {
            _daemon
        } else {
            Some(database.daemon().await)
        };
        database.settled().await;
        assert_eq!(database.count(&sessions).await, 0);
        assert_eq!(database.count(&[later]).await, 1);
    }
}

async fn daemon(database: &Database, served: bool) -> Option<Running> {
    if served {
        Some(database.daemon().await)
    } else {
        None
    }
}

#[tokio::test]
async fn during_a_pause_only_what_is_watched_ends_sessions_and_a_kept_one_stays() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    let (idle, idle_sessions) = somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        &format!(
            "update auth_user set last_login = now();
            update auth_user set password = password, is_active = is_active;
            begin; set local session_reaper.rehash = 'on'; update auth_user set password = 'stronger' where id = {idle}; commit;
            begin; select set_config('session_reaper.keep_session', '{}', true);
            update auth_user set password = 'new' where id = {user}; commit",
            sessions[0]
        ),
    )
    .await;
    let reasons = "select string_agg(user_id || ' ' || reason || ' ' || policy, ', ') from session_reaper.revocation";
    let reasons: String = database.query_one(reasons, &[]).await.unwrap().get(0);
    assert_eq!(reasons, format!("{user} password others"));
    execute(&database, "update auth_user set is_active = not is_active").await;
    execute(&database, "update auth_user set is_active = not is_active").await;
    let deactivated = "select count(*) from session_reaper.revocation where reason = 'deactivated' and policy = 'all'";
    assert_eq!(database.number(deactivated).await, 2);
    execute(
        &database,
        "delete from session_reaper.revocation where reason = 'deactivated'",
    )
    .await;

    resume(&database).await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions[..1]).await, 1);
    assert_eq!(database.count(&sessions[1..]).await, 0);
    assert_eq!(database.count(&idle_sessions).await, 2);
}

#[tokio::test]
async fn a_watched_column_that_is_renamed_or_added_anew_during_the_pause_is_still_watched() {
    for migration in [
        "alter table auth_user rename column password to hash",
        "alter table auth_user add column fresh text; update auth_user set fresh = password;
        alter table auth_user drop column password; alter table auth_user rename column fresh to password",
    ] {
        let database = Database::create().await;
        let (user, sessions) = somebody(&database).await;
        pause(&database).await;
        execute(&database, migration).await;
        let column = if migration.contains("hash") { "hash" } else { "password" };
        let change = format!("update auth_user set {column} = 'new' where id = {user}");
        execute(&database, &change).await;
        let variables = [("SESSION_REAPER_SITE_PASSWORD_COLUMN", column)];
        program::run_with(database.url(), &["resume"], &variables)
            .await
            .assert_done();
        assert_eq!(database.open_revocations().await, 1, "{migration}");
        let daemon = Daemon::start_with(database.url(), &[], &variables);
        daemon.serves().await;
        database.settled().await;
        assert_eq!(database.count(&sessions).await, 0);
    }
}

#[tokio::test]
async fn user_keys_that_grow_to_bigint_take_ours_along_and_the_first_new_one_is_not_lost() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        "alter table auth_user alter column id type bigint",
    )
    .await;
    let far = 3_000_000_000_i64;
    execute(
        &database,
        &format!(
            "insert into auth_user overriding system value
                select {far}, password, last_login, is_superuser, 'far', first_name, last_name, email, is_staff, is_active, date_joined
                from auth_user limit 1;
            update auth_user set password = 'new' where id = {far}"
        ),
    )
    .await;
    let said = resume(&database).await;
    assert!(
        said.contains("Changed our user_id from integer to bigint, like public.auth_user."),
        "{said}"
    );
    let requested = "select count(*) from session_reaper.revocation where user_id = 3000000000 and state = 'requested'";
    assert_eq!(database.number(requested).await, 1);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.paused_request")
            .await,
        0
    );

    // One function of each name: with an old one beside it, a call with an integer would still reach that.
    let overloads = "select count(*) - count(distinct proname) from pg_proc where pronamespace = 'session_reaper'::regnamespace";
    assert_eq!(database.number(overloads).await, 0);
    let old = "select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'session_reaper'::regnamespace and a.attname = 'user_id' and a.atttypid = 'integer'::regtype";
    assert_eq!(database.number(old).await, 0);
    let far_session = log_in(&database, far, "far").await;
    works(&database, user, &sessions).await;
    works(&database, far, &[far_session]).await;
}

#[tokio::test]
async fn session_keys_of_another_length_or_collation_take_ours_along() {
    for sql_type in ["text", "varchar(200)", "varchar(40) collate \"C\""] {
        let database = Database::create().await;
        let (user, sessions) = somebody(&database).await;
        pause(&database).await;
        execute(
            &database,
            &format!("alter table django_session alter column session_key type {sql_type}"),
        )
        .await;
        let said = resume(&database).await;
        assert!(
            said.contains("Changed our session_key from"),
            "{sql_type}: {said}"
        );
        works(&database, user, &sessions).await;
    }
}

#[tokio::test]
async fn a_session_table_that_is_swapped_keeps_the_links_of_the_sessions_that_it_keeps() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    let (_, dropped) = somebody(&database).await;
    // Not paused, a swap leaves the foreign key, and with it the links, with the old table.
    database
        .batch_execute("begin; alter table django_session rename to old; drop table old; rollback")
        .await
        .unwrap_err();
    execute(&database, "rollback").await;

    pause(&database).await;
    execute(
        &database,
        &format!(
            "create table fresh (like django_session including all);
            insert into fresh select * from django_session where session_key <> '{}';
            alter table django_session rename to old;
            alter table fresh rename to django_session;
            drop table old",
            dropped[0]
        ),
    )
    .await;
    let said = resume(&database).await;
    assert!(
        said.contains("Dropped 1 links whose session is gone."),
        "{said}"
    );
    works(&database, user, &sessions).await;
}

#[tokio::test]
async fn tables_that_are_truncated_or_dropped_and_created_anew_lose_their_links_and_nothing_else() {
    let database = Database::create().await;
    somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        "truncate django_session;
        alter table django_session rename to old;
        create unlogged table django_session (like old including all);
        drop table old",
    )
    .await;
    let said = resume(&database).await;
    assert!(
        said.contains("Dropped 2 links whose session is gone."),
        "{said}"
    );
    let unlogged =
        "select count(*) from pg_class where relname = 'user_session' and relpersistence = 'u'";
    assert_eq!(database.number(unlogged).await, 1);
    let (user, sessions) = somebody(&database).await;
    works(&database, user, &sessions).await;
}

#[tokio::test]
async fn a_user_table_that_is_created_anew_during_the_pause_is_said_to_have_lost_its_triggers() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        "create table fresh (like auth_user including all);
        insert into fresh overriding system value select * from auth_user;
        drop table auth_user;
        alter table fresh rename to auth_user",
    )
    .await;
    let said = resume(&database).await;
    assert!(
        said.contains("public.auth_user was without our triggers for a while")
            && said.contains("`session-reaper revoke --all`"),
        "{said}"
    );
    works(&database, user, &sessions).await;
}

#[tokio::test]
async fn users_and_sessions_that_are_deleted_or_renamed_during_the_pause_are_followed() {
    let database = Database::create().await;
    let (gone, gone_sessions) = somebody(&database).await;
    let (renamed, renamed_sessions) = somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        &format!("delete from auth_user where id = {gone}"),
    )
    .await;
    execute(
        &database,
        "alter table auth_user alter column id type bigint",
    )
    .await;
    let new = renamed + 100_000;
    execute(
        &database,
        &format!("update auth_user set id = {new} where id = {renamed}"),
    )
    .await;
    execute(
        &database,
        &format!(
            "update django_session set session_key = 'renamed' where session_key = '{}'",
            renamed_sessions[0]
        ),
    )
    .await;
    let kept = vec!["renamed".to_owned(), renamed_sessions[1].clone()];
    let said = resume(&database).await;
    assert!(
        said.contains("Dropped 2 links whose user is gone."),
        "{said}"
    );
    works(&database, new, &kept).await;
    assert_eq!(database.count(&gone_sessions).await, 0);
}

#[tokio::test]
async fn a_daemon_rests_during_a_pause_and_says_so_once() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    let variables = [
        ("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1"),
        ("SESSION_REAPER_SITE_CHECK_INTERVAL_S", "1"),
        ("SESSION_REAPER_PURGE_SCHEDULE", "* * * * * *"),
    ];
    let daemon = Daemon::start_with(database.url(), &[], &variables);
    daemon.serves().await;
    pause(&database).await;
    daemon.says("paused: changes are noted").await;
    site::abandon(&database.client, 10).await.unwrap();
    change(&database, user).await;
    // The worst that a migration does.
    execute(&database, "alter table django_session rename to away").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    execute(&database, "alter table away rename to django_session").await;
    assert_eq!(database.count(&sessions).await, 2);
    let expired = "select count(*) from django_session where expire_date < now()";
    assert_eq!(database.number(expired).await, 10);
    let text = run(database.url(), &["status"])
        .await
        .assert_done()
        .to_owned();
    assert!(text.contains("paused     since 2"), "{text}");
    let json = run(database.url(), &["status", "--json"]).await.stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["paused"]["by"], "postgres");

    resume(&database).await;
    daemon.says("\"resumed\"").await;
    wait_until("it purges again", || async {
        database.number(expired).await == 0
    })
    .await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(
        daemon.times("paused: changes are noted"),
        1,
        "{}",
        daemon.log()
    );
    assert_eq!(daemon.times("\"resumed\""), 1, "{}", daemon.log());
    assert_eq!(
        daemon.times("ERROR") + daemon.times("WARN"),
        0,
        "{}",
        daemon.log()
    );
}

#[tokio::test]
async fn a_daemon_that_is_started_during_a_pause_says_so_and_begins_with_the_resume() {
    let database = Database::create().await;
    pause(&database).await;
    execute(&database, "alter table django_session rename to away").await;
    let variables = [("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1")];
    let daemon = Daemon::start_with(database.url(), &[], &variables);
    daemon.says("starting as soon as that is done").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(daemon.lines().len(), 1, "{}", daemon.log());
    execute(&database, "alter table away rename to django_session").await;
    resume(&database).await;
    daemon.serves().await;
}

#[tokio::test]
async fn during_a_pause_the_other_commands_name_resume() {
    let database = Database::create().await;
    pause(&database).await;
    for arguments in [&["migrate"][..], &["purge"], &["revoke", "--all"]] {
        run(database.url(), arguments).await.assert_refused(
            1,
            &["paused since", "by postgres", "`session-reaper resume`"],
        );
    }
    run(database.url(), &["uninstall", "--yes"])
        .await
        .assert_done();
    run(database.url(), &["migrate"]).await.assert_done();
    let (user, sessions) = somebody(&database).await;
    works(&database, user, &sessions).await;
}

#[tokio::test]
async fn both_can_be_repeated_and_resume_without_a_pause_finds_everything_in_place() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    assert!(
        resume(&database)
            .await
            .starts_with("session-reaper was not paused")
    );
    let first = pause(&database).await;
    assert!(
        first.starts_with("session-reaper is paused, since 2"),
        "{first}"
    );
    let again = pause(&database).await;
    assert!(
        again.starts_with("session-reaper was already paused, since 2"),
        "{again}"
    );
    let json = run(database.url(), &["pause", "--json"]).await;
    let json: Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(json["already"], true);
    let json = run(database.url(), &["resume", "--json"]).await;
    let json: Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(json["pause"]["by"], "postgres");
    assert_eq!(json["triggers"].as_array().unwrap().len(), 7);
    assert!(
        resume(&database)
            .await
            .starts_with("session-reaper was not paused")
    );
    works(&database, user, &sessions).await;
}

/// With a kill in each of its steps, as far as chance hits them.
#[tokio::test]
async fn one_that_is_killed_can_be_repeated() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    for round in 0..12_u64 {
        for command in ["pause", "resume"] {
            let mut killed = program::program(database.url(), &[command])
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            tokio::time::sleep(Duration::from_millis(15 + round * 8)).await;
            killed.kill().unwrap();
            killed.wait().unwrap();
            if round % 3 == 0 {
                // Not even begun anew: the other command has to cope.
                continue;
            }
            run(database.url(), &[command]).await.assert_done();
        }
    }
    resume(&database).await;
    works(&database, user, &sessions).await;
}

const HOLD: &str = "lock table auth_user in row exclusive mode";

#[tokio::test]
async fn a_table_that_somebody_holds_is_not_waited_for_for_ever_and_the_next_try_finishes() {
    let mut database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    let url = database.url().to_owned();
    let holder = database.client.transaction().await.unwrap();
    holder.batch_execute(HOLD).await.unwrap();
    run(&url, &["pause"])
        .await
        .assert_refused(1, &["could not lock public.auth_user because"]);
    holder.commit().await.unwrap();
    run(&url, &["pause"]).await.assert_done();
    run(&url, &["resume"]).await.assert_done();
    works(&database, user, &sessions).await;
}

/// Twenty tries take twelve seconds at most. Sessions that should have ended live for as long as a site stays paused.
#[tokio::test]
async fn resume_begins_anew_where_a_busy_table_kept_it_out_of_all_its_tries() {
    let mut database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    pause(&database).await;
    let url = database.url().to_owned();
    let holder = database.client.transaction().await.unwrap();
    holder.batch_execute(HOLD).await.unwrap();
    let arguments = ["resume"];
    let (resumed, ()) = tokio::join!(run(&url, &arguments), async {
        tokio::time::sleep(Duration::from_secs(14)).await;
        holder.commit().await.unwrap();
    });
    resumed.assert_done();
    works(&database, user, &sessions).await;
}

#[tokio::test]
async fn who_might_look_at_live_sessions_may_do_so_again() {
    let database = Database::create().await;
    let role = format!("reader_{}", fastrand::u32(..));
    execute(
        &database,
        &format!("create role {role}; grant select on session_reaper.live_session to {role}"),
    )
    .await;
    pause(&database).await;
    execute(
        &database,
        "alter table auth_user alter column id type bigint",
    )
    .await;
    resume(&database).await;
    let may = format!(
        "select has_table_privilege('{role}', 'session_reaper.live_session', 'select')::int::bigint"
    );
    assert_eq!(database.number(&may).await, 1);
}

#[tokio::test]
async fn a_key_that_becomes_of_another_kind_is_refused_with_what_to_do() {
    let database = Database::create().await;
    somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        "alter table auth_user alter column id drop identity;
        alter table auth_user alter column id type uuid using gen_random_uuid()",
    )
    .await;
    run(database.url(), &["resume"]).await.assert_refused(
        1,
        &[
            "from integer to uuid",
            "`session-reaper uninstall`",
            "`session-reaper migrate`",
        ],
    );
    run(database.url(), &["uninstall", "--yes"])
        .await
        .assert_done();
    run(database.url(), &["migrate"]).await.assert_done();
}

/// The lock keeps it between its look for a pause and its look for the triggers.
#[tokio::test]
async fn a_daemon_that_starts_while_a_pause_begins_waits_for_its_end() {
    let database = Database::create().await;
    let mut site = database.connect().await;
    let pause = site.transaction().await.unwrap();
    pause
        .batch_execute("lock table session_reaper.behaviour in access exclusive mode")
        .await
        .unwrap();
    let daemon = Daemon::start(database.url());
    let waits = "select count(*) from pg_locks where relation::regclass::text = 'session_reaper.behaviour' and not granted";
    wait_until("the daemon waits for the lock", || async {
        database.number(waits).await > 0
    })
    .await;
    pause
        .batch_execute(
            "drop trigger session_reaper_update_password on auth_user;
            insert into session_reaper.pause (noted) values (true)",
        )
        .await
        .unwrap();
    pause.commit().await.unwrap();
    daemon.says("paused").await;
    run(database.url(), &["resume"]).await.assert_done();
    daemon.serves().await;
}

/// Nor is the site left paused, that is open, for a key that nobody can have any more.
#[tokio::test]
async fn a_request_for_nobody_holds_up_neither_the_others_nor_the_end_of_the_pause() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    let (grown, _) = somebody(&database).await;
    pause(&database).await;
    execute(
        &database,
        &format!(
            "alter table auth_user alter column id type bigint;
            update auth_user set id = 3000000000 where id = {grown};
            update auth_user set password = 'new' where id = 3000000000;
            delete from auth_user where id = 3000000000;
            alter table auth_user alter column id type integer"
        ),
    )
    .await;
    change(&database, user).await;
    let waiting = "select count(*) from session_reaper.paused_request";
    assert_eq!(database.number(waiting).await, 1);
    let said = resume(&database).await;
    assert!(
        said.contains("Left out 1 request whose user's key can be no user's any more."),
        "{said}"
    );
    assert_eq!(database.number(waiting).await, 0);
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// One whose new key somebody has linked meanwhile, and one whose new key does not fit our type yet.
#[tokio::test]
async fn a_session_that_is_to_end_and_gets_another_key_during_the_pause_ends() {
    let database = Database::create().await;
    let (user, sessions) = somebody(&database).await;
    pause(&database).await;
    let revoke = "select session_reaper.revoke_session($1::text::varchar)";
    for session in &sessions {
        database.query(revoke, &[session]).await.unwrap();
    }
    let mut other = database.connect().await;
    let link = other.transaction().await.unwrap();
    link.batch_execute(&format!(
        "insert into session_reaper.user_session (session_key, user_id) values ('new', {user})"
    ))
    .await
    .unwrap();
    let rename = "update django_session set session_key = $2 where session_key = $1";
    let keys: [&(dyn ToSql + Sync); 2] = [&sessions[0], &"new"];
    let (renamed, ()) = tokio::join!(database.execute(rename, &keys), async {
        let watcher = database.connect().await;
        wait_until("it waits for the link", async || {
            let waiting = "select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'";
            let row = watcher.query_one(waiting, &[]).await.unwrap();
            row.get::<_, i64>(0) > 0
        })
        .await;
        link.commit().await.unwrap();
    });
    assert_eq!(renamed.unwrap(), 1);
    execute(
        &database,
        "alter table django_session alter column session_key type varchar(64)",
    )
    .await;
    // It would be lost, so it has to be said.
    let long = "l".repeat(50);
    let refused = database
        .execute(rename, &[&sessions[1], &long])
        .await
        .unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "55000", "{refused}");
    assert!(refused.message().contains("session-reaper"), "{refused}");
    resume(&database).await;
    assert_eq!(
        database
            .execute(rename, &[&sessions[1], &long])
            .await
            .unwrap(),
        1
    );
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&["new".to_owned(), long]).await, 0);
}

/// A text that is too long for a key is of its type all the same.
#[tokio::test]
async fn what_is_too_long_for_a_key_names_nobody_at_any_time() {
    for key in ["varchar(8)", "short"] {
        let database = Database::create_bare(server()).await;
        let user = database.users(1).await[0];
        execute(
            &database,
            &format!(
                "create domain short as text check (length(value) <= 8);
            alter table auth_user alter column id drop identity;
            alter table auth_user alter column id type {key} using id::text;
            create table mfa (owner text, secret text)"
            ),
        )
        .await;
        let mut settings = Settings::default();
        settings.site.watch = Some(vec![Watched {
            table: Some("mfa".to_owned()),
            user_column: Some("owner".to_owned()),
            column: "secret".to_owned(),
            becomes: None,
            on: Event::Insert,
            policy: Policy::Others,
            reason: None,
        }]);
        database.migrate_with(&settings).await;
        execute(&database, "insert into mfa values ('somebody else', 'a')").await;
        schema::pause(&database.target(), &settings.site)
            .await
            .unwrap();
        execute(
        &database,
        &format!(
            "insert into mfa values ('somebody else', 'b'); insert into mfa values ('{user}', 'c')"
        ),
    )
    .await;
        let resumed = schema::resume(&database.target(), &settings.site)
            .await
            .unwrap();
        assert_eq!((resumed.without_key, resumed.waited), (1, 1), "{key}");
    }
}

/// What its change of a password asked for goes along, though the new key does not fit our type yet.
#[tokio::test]
async fn a_user_who_gets_a_key_that_does_not_fit_yet_takes_along_what_was_asked_for() {
    let database = Database::create_bare(server()).await;
    let column = "alter table django_session add column user_id integer references auth_user on update cascade";
    execute(&database, column).await;
    let mut settings = Settings::default();
    settings.site = Site {
        user_column: Some("user_id".to_owned()),
        data_column: None,
        codec: None,
        ..settings.site
    };
    database.migrate_with(&settings).await;
    let user = database.users(1).await[0];
    let open = |key: &str, user: i64| {
        format!("insert into django_session values ('{key}', '', now() + interval '1 day', {user})")
    };
    execute(&database, &open("old", user.into())).await;
    schema::pause(&database.target(), &settings.site)
        .await
        .unwrap();
    change(&database, user.into()).await;
    execute(
        &database,
        &format!(
            "alter table auth_user alter column id type bigint;
            alter table django_session alter column user_id type bigint;
            update auth_user set id = 3000000000 where id = {user};
            update auth_user set id = 3000000001 where id = 3000000000"
        ),
    )
    .await;
    schema::resume(&database.target(), &settings.site)
        .await
        .unwrap();
    execute(&database, &open("new", 3_000_000_001)).await;
    let _daemon = database.daemon_with(settings).await;
    database.settled().await;
    assert_eq!(database.count(&["old".to_owned()]).await, 0);
    assert_eq!(database.count(&["new".to_owned()]).await, 1);
}
