//! `doctor` finds each ailment, says what to do, and finds none where there is none.

use std::collections::BTreeSet;

use serde_json::Value;
use session_reaper::demo::site;

use crate::stage::{
    Database,
    program::{Ended, run, run_unprivileged, run_with},
    server, server_with_two_phase_commit,
};

fn findings(ended: &Ended) -> Vec<Value> {
    serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr))
}

/// What is not "ok", as `check verdict: sentence`.
fn ailments(ended: &Ended) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ailing = findings(ended).into_iter().filter(|f| f["verdict"] != "ok");
    ailing
        .map(|f| {
            format!(
                "{} {}: {}",
                text(&f["check"]),
                text(&f["verdict"]),
                text(&f["says"])
            )
        })
        .collect()
}

/// The finding with this name.
fn named(ended: &Ended, id: &str) -> Option<Value> {
    findings(ended).into_iter().find(|f| f["id"] == id)
}

async fn examine(database: &Database) -> Ended {
    run(database.url(), &["doctor", "--json"]).await
}

/// A function of PostgreSQL's own that answers something else.
macro_rules! instead_of {
    ($function:literal, $type:literal, $body:literal) => {
        concat!(
            "set allow_system_table_mods = on;
            alter function pg_catalog.",
            $function,
            "() rename to real_",
            $function,
            ";
            create function pg_catalog.",
            $function,
            "() returns ",
            $type,
            " language sql as $$",
            $body,
            "$$"
        )
    };
}

/// Each with the check that finds it, words of its advice, its name, and the command that mends it.
const AILMENTS: &[(&str, &str, &str, &str, &str)] = &[
        (
            "drop trigger session_reaper_update_password on auth_user",
            "triggers fail: ",
            "`session-reaper migrate`",
            "triggers.missing",
            "session-reaper migrate",
        ),
        (
            "alter table django_session disable trigger all",
            "triggers fail: ",
            "`session-reaper migrate`",
            "triggers.missing",
            "session-reaper migrate",
        ),
        (
            "drop view session_reaper.revocation_trail; alter table session_reaper.revocation alter column user_id type bigint",
            "triggers fail: ",
            "`session-reaper resume`",
            "keys.type",
            "session-reaper resume",
        ),
        (
            "alter table django_session rename to sessions",
            "tables fail: ",
            "django_session, which does not exist",
            "tables.unusable",
            "",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'sweep'",
            "functions warn: ",
            "sweep are of another release",
            "functions.differ",
            "session-reaper migrate",
        ),
        (
            "insert into session_reaper.pause (complete) values (true)",
            "pause warn: ",
            "`session-reaper resume`",
            "pause.on",
            "session-reaper resume",
        ),
        (
            "create publication everything for all tables",
            "publications warn: ",
            "subscribers hold session keys",
            "publications.all_tables",
            "",
        ),
        (
            "create publication everything for all tables; create table session_reaper.odd (a integer)",
            "publications fail: ",
            "odd in session_reaper has no replica identity",
            "publications.no_identity",
            "",
        ),
        (
            "do $$ begin execute format('alter database %I set session_replication_role = replica', current_database()); end $$",
            "replication warn: ",
            "every role",
            "replication.role_set",
            "",
        ),
        (
            "drop index django_session_expire_date_a5c62663",
            "expiry index warn: ",
            "create index concurrently on \"public\".\"django_session\" (\"expire_date\")",
            "expiry.no_index",
            "create index concurrently on \"public\".\"django_session\" (\"expire_date\")",
        ),
        (
            "create table basket (session_key varchar(40) references django_session deferrable initially deferred)",
            "references warn: ",
            "basket refers to",
            "references.keep",
            "",
        ),
        (
            "insert into django_session select i::text, '', now() - interval '1 day' from generate_series(1, 3) i;
            update session_reaper.purge set finished_at = now() - interval '5 hours'",
            "purge warn: ",
            "3 expired sessions wait, and the last purge ended 18",
            "purge.overdue",
            "session-reaper purge",
        ),
        (
            "update session_reaper.schema_history set version = 99 where version = 4",
            "schema fail: ",
            "install the newer release",
            "schema.differs",
            "",
        ),
        (
            "alter table auth_user drop constraint auth_user_pkey cascade",
            "tables fail: ",
            "no primary key",
            "tables.unusable",
            "",
        ),
        (
            "alter table session_reaper.user_session drop constraint user_session_of_user",
            "triggers fail: ",
            "does not refer to public.auth_user",
            "keys.no_reference",
            "session-reaper migrate",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'expiry'",
            "settings fail: ",
            "another expiry than the settings name now",
            "settings.other_expiry",
            "session-reaper migrate",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'site'",
            "triggers fail: ",
            "these settings name other tables or columns",
            "settings.other_site",
            "",
        ),
        (
            "alter table django_session set (autovacuum_enabled = false)",
            "autovacuum warn: ",
            "reset (autovacuum_enabled)",
            "autovacuum.off",
            "",
        ),
        (
            "insert into django_session select i::text, 'e30:1xVUK6:' || repeat('0', 43), now() + interval '100 years' from generate_series(1, 20) i",
            "expiry warn: ",
            "nothing is ever purged",
            "expiry.never",
            "",
        ),
        (
            "delete from session_reaper.purge; insert into django_session select i::text, 'e30:1xVUK6:' || repeat('0', 43), now() - interval '1 day' from generate_series(1, 20) i",
            "expiry warn: ",
            "all 20 sessions that were looked at have expired",
            "expiry.everything",
            "",
        ),
        (
            "insert into session_reaper.missed (what, sqlstate) values ('eviction', '42501')",
            "revocations fail: ",
            "could not be noted",
            "revocations.failing",
            "",
        ),
        (
            "insert into session_reaper.unreadable (reason, writes) values ('pickle', 3)",
            "linking warn: ",
            "pickle 3",
            "linking.unreadable",
            "",
        ),
        (
            instead_of!("pg_notification_queue_usage", "double precision", "select 0.2::double precision"),
            "queue warn: ",
            "20 % of the notification queue is in use",
            "queue.filling",
            "",
        ),
        (
            instead_of!("pg_notification_queue_usage", "double precision", "select 0.9::double precision"),
            "queue fail: ",
            "changes are no more told at once",
            "queue.full",
            "",
        ),
        (
            "set allow_system_table_mods = on;
            alter function pg_catalog.pg_notify(text, text) rename to real_pg_notify;
            create function pg_catalog.pg_notify(text, text) returns void language sql as ''",
            "notifications fail: ",
            "do not arrive although the connection is well",
            "notifications.not_delivered",
            "",
        ),
        (
            "do $$ begin execute format('alter database %I set session_reaper.rehash = on', current_database()); end $$",
            "triggers fail: ",
            "session_reaper.rehash is set for every role",
            "settings.of_role",
            "",
        ),
        (
            "drop function session_reaper.unfinished cascade",
            "triggers fail: ",
            "the function session_reaper.unfinished is missing",
            "functions.missing",
            "session-reaper migrate",
        ),
        (
            "alter table auth_user disable trigger user; alter table auth_user enable trigger user",
            "triggers fail: ",
            "was off for a while",
            "triggers.were_off",
            "session-reaper resume",
        ),
        (
            instead_of!("clock_timestamp", "timestamptz", "select pg_catalog.real_clock_timestamp() + make_interval(secs => 7)"),
            "clock warn: ",
            "s ahead of this machine's",
            "clock.skew",
            "",
        ),
        (
            instead_of!("inet_client_addr", "inet", "select inet '192.0.2.1'"),
            "encryption warn: ",
            "though it comes from 192.0.2.1",
            "encryption.none",
            "",
        ),
        (
            "create or replace function session_reaper.is_queue_full() returns boolean language sql as 'select true'",
            "linking warn: ",
            "no more is noted",
            "linking.queue_full",
            "session-reaper run",
        ),
        (
            "insert into session_reaper.unreadable (reason, writes) values ('pickle', 20)",
            "linking fail: ",
            "no session is linked to a user",
            "linking.links_nobody",
            "",
        ),
        (
            "with c as (insert into session_reaper.change (begun_at, at, stamps) values (now() - interval '5 minutes', now(), 3) returning id)
            insert into session_reaper.revocation (change_id, scope, user_id, reason, next_attempt_at) select c.id, 'user', -1, 'x', 'infinity' from c",
            "revocations warn: ",
            "1 open, the oldest for 300 s",
            "revocations.slow",
            "",
        ),
        (
            "insert into session_reaper.trouble (daemon, worker, since, attempts, sqlstate) values ('x', 'purger', now() - interval '1 minute', 3, '42501')",
            "workers fail: ",
            "purge",
            "workers.failing",
            "",
        ),
    ];

/// The role of the tests is a superuser, which is
/// worth knowing and no more.
#[tokio::test]
async fn each_ailment_is_found_by_its_check_with_what_to_do() {
    for (harm, finding, advice, id, mend) in AILMENTS {
        let database = Database::create().await;
        let _daemon = database.daemon().await;
        database.sessions_backfilled().await;
        let well = examine(&database).await;
        assert_eq!(well.code, Some(0));
        let known = ailments(&well);
        assert_eq!(known.len(), 2, "{known:?}");
        assert!(known[0].starts_with("role warn: postgres is a superuser"));
        assert!(known[1].starts_with("cache warn: none is named"));

        database.batch_execute(harm).await.unwrap();
        let ended = examine(&database).await;
        let found = ailments(&ended);
        assert!(
            found
                .iter()
                .any(|f| f.starts_with(finding) && f.contains(*advice)),
            "{harm}: {found:#?}"
        );
        let named = named(&ended, id);
        let named = named.unwrap_or_else(|| panic!("{harm}: {}", ended.stdout));
        let given = named["mend"].as_str().unwrap_or_default();
        assert!(given == *mend, "{harm}: {named}");
        assert_eq!(
            ended.code,
            Some(i32::from(finding.contains("fail"))),
            "{found:#?}"
        );
        assert_eq!(ended.stderr, "");
    }
}

#[tokio::test]
async fn a_database_without_a_daemon_or_without_the_schema_fails() {
    let database = Database::create_bare(server()).await;
    let ended = examine(&database).await;
    let found = ailments(&ended);
    assert_eq!(ended.code, Some(1));
    assert!(found[1].starts_with("schema fail: ") && found[1].contains("`session-reaper migrate`"));
    // What makes no sense there is not asked.
    assert!(findings(&ended).iter().all(|f| f["check"] != "triggers"));

    database.migrate().await;
    let ended = examine(&database).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ailments(&ended)
            .iter()
            .any(|f| f.starts_with("daemon fail: "))
    );
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_a_finding_without_the_password() {
    let url = "postgresql://ann:hush-hush@127.0.0.1:1/shop";
    let ended = run(url, &["doctor", "--json"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(named(&ended, "connection.failed").is_some());
    assert!(ailments(&ended)[0].starts_with("connection fail: cannot connect to database shop"));
    assert!(!ended.stdout.contains("hush-hush") && !ended.stderr.contains("hush-hush"));
}

#[tokio::test]
async fn for_people_it_is_a_table_with_a_line_for_each_check() {
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    let ended = run(database.url(), &["doctor"]).await;
    let text = ended.assert_done();
    assert!(
        text.contains("\nwarn  role.superuser               postgres is a superuser"),
        "{text}"
    );
    assert!(
        text.contains("\nok    notifications                arrive, after "),
        "{text}"
    );
    assert!(text.ends_with("\n0 fail, 2 to know\n"), "{text}");
    // One a check, the way to the database, one command that mends, and the sum.
    assert_eq!(text.lines().count(), 30, "{text}");
}

#[tokio::test]
async fn a_server_with_two_phase_commit_tells_by_polling() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let _daemon = database.daemon().await;
    let found = ailments(&examine(&database).await);
    assert!(
        found
            .iter()
            .any(|f| f.starts_with("two-phase warn: max_prepared_transactions is 50")),
        "{found:#?}"
    );
    assert!(named(&examine(&database).await, "two_phase.on").is_some());
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_setting_gives_them() {
    let database = Database::create().await;
    let role = format!("nobody_{}", fastrand::u32(..));
    database
        .batch_execute(&format!("create role {role} login; grant usage on schema session_reaper to {role}; grant select on all tables in schema session_reaper to {role}; grant execute on all functions in schema session_reaper to {role}"))
        .await
        .unwrap();
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let ended = run(&url, &["doctor", "--json"]).await;
    assert!(
        named(&ended, "rights.missing").is_some(),
        "{} {}",
        ended.stdout,
        ended.stderr
    );
    // It may not read the site's tables either, which a check needs.
    let blind = named(&ended, "check.failed").unwrap();
    assert!(
        blind["says"]
            .as_str()
            .unwrap()
            .contains("permission denied")
    );
    let found = ailments(&ended);
    assert!(
        found.iter().any(
            |f| f.starts_with(&format!("rights fail: {role} lacks rights on"))
                && f.contains("site.daemon_role")
        ),
        "{found:#?}"
    );
}

#[tokio::test]
async fn a_schedule_that_never_purges_is_told_where_expired_sessions_wait() {
    let database = Database::create().await;
    site::abandon(&database.client, 4).await.unwrap();
    let never = [("SESSION_REAPER_PURGE_SCHEDULE", "")];
    let file = crate::stage::program::SettingsFile::new("[purge]\nschedule = \"\"\n");
    let ended = run_with(
        database.url(),
        &["doctor", "--json", "--config", file.path()],
        &never,
    )
    .await;
    let found = ailments(&ended);
    assert!(
        found
            .iter()
            .any(|f| f
                .starts_with("purge warn: 4 expired sessions wait, and purge.schedule is empty")),
        "{found:#?}"
    );
    assert!(named(&ended, "purge.never").is_some());
}

#[tokio::test]
async fn a_revocation_that_waits_for_long_names_who_it_waits_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.batch_execute("set local application_name = 'nightly report'; select 1")
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    crate::stage::wait_until("it is waited for", || async {
        let captured = "with h as (update session_reaper.horizon set captured_at = now() - interval '5 minutes' returning 1) select count(*) from h";
        database.number(captured).await > 0
    })
    .await;
    let ended = examine(&database).await;
    let waiting = named(&ended, "revocations.waiting").unwrap();
    let mend = waiting["mend"].as_str().unwrap();
    assert!(mend.starts_with("select pg_terminate_backend("), "{mend}");
    let found = ailments(&ended);
    assert!(
        found.iter().any(|f| f
            .starts_with("revocations warn: 1 wait for the open transaction of process")
            && f.contains("nightly report")),
        "{found:#?}"
    );
}

/// What nobody can do has to be known by whoever relies on it.
#[tokio::test]
async fn a_cache_inside_the_apps_processes_is_told_that_nobody_evicts_from_it_and_how_to_live_with_it()
 {
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    let in_process = [("SESSION_REAPER_CACHE_KIND", "in_process")];
    let ended = run_with(database.url(), &["doctor", "--json"], &in_process).await;
    let found = ailments(&ended);
    let told = found.iter().find(|f| f.starts_with("cache warn: "));
    let told = told.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(named(&ended, "cache.in_process").is_some());
    for part in [
        "LocMemCache",
        "which nobody else can evict from",
        "until it expires or the process restarts",
        "Redis, Valkey, Memcached or database cache",
        "django.contrib.sessions.backends.db",
    ] {
        assert!(told.contains(part), "{told} does not say {part}");
    }
    // Worth knowing, and nothing that a daemon could be asked to mend.
    assert_eq!(ended.code, Some(0));

    let none = findings(&examine(&database).await);
    let none = none.iter().find(|f| f["check"] == "cache").unwrap();
    assert_eq!(none["verdict"], "warn");
    assert!(
        none["says"]
            .as_str()
            .unwrap()
            .contains("until [cache] names its cache")
    );
}

/// The file of settings was forgotten, say. Sessions that ended would live on in the cache.
#[tokio::test]
async fn without_the_cache_that_the_installation_has_doctor_fails_and_says_what_waits_for_it() {
    let database = Database::create_bare(server()).await;
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "redis"),
        ("SESSION_REAPER_CACHE_SERVERS", "redis://127.0.0.1:1"),
    ];
    run_with(database.url(), &["migrate"], &cache)
        .await
        .assert_done();
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    database
        .execute(
            "delete from django_session where session_key = any ($1)",
            &[&sessions],
        )
        .await
        .unwrap();
    let ended = examine(&database).await;
    assert_eq!(ended.code, Some(1));
    let found = ailments(&ended);
    assert!(named(&ended, "cache.forgotten").is_some(), "{found:#?}");
    assert!(named(&ended, "cache.waiting").is_some(), "{found:#?}");
    for part in [
        "cache fail: the installation knows of a cache, and these settings name none",
        "cache warn: 2 sessions to evict",
    ] {
        assert!(found.iter().any(|f| f.starts_with(part)), "{found:#?}");
    }
    assert!(
        !found.iter().any(|f| f.contains("another release")),
        "{found:#?}"
    );
}

/// Whoever looks by hand is another user than the service.
#[tokio::test]
async fn a_password_file_that_only_the_service_may_read_is_no_failure_of_the_cache() {
    use std::os::unix::fs::PermissionsExt;
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    let file = crate::stage::program::SettingsFile::new("secret");
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o0)).unwrap();
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "redis"),
        ("SESSION_REAPER_CACHE_SERVERS", "redis://127.0.0.1:1"),
        ("SESSION_REAPER_CACHE_PASSWORD_FILE", file.path()),
    ];
    // The socket's directory is closed to strangers, too.
    let (port, name) = (server().port(), database.name());
    let url = format!("postgresql://postgres@127.0.0.1:{port}/{name}");
    let arguments = ["doctor", "--json"];
    let ended = if std::fs::read(file.path()).is_ok() {
        // Root may read everything, as long as it is privileged.
        run_unprivileged(&url, &arguments, &cache).await
    } else {
        run_with(&url, &arguments, &cache).await
    };
    let found = ailments(&ended);
    assert!(
        found
            .iter()
            .any(|f| f.starts_with("cache warn: not asked, because this user may not read")),
        "{found:#?}"
    );
    assert!(named(&ended, "cache.not_asked").is_some());
}

#[tokio::test]
async fn a_setting_of_ours_that_is_set_for_good_is_a_finding_and_a_problem() {
    let database = Database::create().await;
    let role = format!("quiet_{}", fastrand::u32(..));
    let name = database.name();
    for (set, name, for_whom) in [
        (
            format!("alter database {name} set session_reaper.rehash = 'on'"),
            "session_reaper.rehash",
            "every role",
        ),
        (
            format!(
                "create role {role}; alter role {role} in database {name} set session_reaper.keep_session = 'x'"
            ),
            "session_reaper.keep_session",
            role.as_str(),
        ),
    ] {
        database.batch_execute(&set).await.unwrap();
        let says = format!("{name} is set for {for_whom}");
        for command in ["doctor", "status"] {
            let ended = run(database.url(), &[command]).await;
            assert_eq!(ended.code, Some(1), "{}", ended.stdout);
            assert!(ended.stdout.contains(&says), "{}", ended.stdout);
        }
    }
    database
        .batch_execute(&format!("drop role {role}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn strictly_what_is_only_worth_knowing_fails_too_and_what_is_silenced_does_not() {
    let database = Database::create().await;
    let _daemon = database.daemon().await;
    database.sessions_backfilled().await;
    let lax = run(database.url(), &["doctor"]).await;
    assert_eq!(lax.code, Some(0), "{}", lax.stdout);
    let strict = run(database.url(), &["doctor", "--strict"]).await;
    assert_eq!(strict.code, Some(1), "{}", strict.stdout);

    let silence = [(
        "SESSION_REAPER_DOCTOR_SILENCE",
        "role.superuser,cache.unnamed",
    )];
    let silenced = run_with(database.url(), &["doctor", "--strict"], &silence).await;
    assert_eq!(silenced.code, Some(0), "{}", silenced.stdout);
    assert!(
        silenced
            .stdout
            .ends_with("\n0 fail, 0 to know, 2 silenced\n")
    );
    assert!(!silenced.stdout.contains("superuser"));

    assert!(named(&examine(&database).await, "cache.unnamed").is_some());
    // A program is told all the same.
    let json = run_with(database.url(), &["doctor", "--strict", "--json"], &silence).await;
    let role = named(&json, "role.superuser").unwrap();
    assert_eq!(
        (&role["verdict"], &role["silenced"]),
        (&"warn".into(), &true.into())
    );

    // What fails can be lived with, too; what else fails counts.
    database
        .batch_execute("drop trigger session_reaper_update_password on auth_user")
        .await
        .unwrap();
    let silence = [("SESSION_REAPER_DOCTOR_SILENCE", "triggers.missing")];
    let ended = run_with(database.url(), &["doctor"], &silence).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    database
        .batch_execute("drop view session_reaper.live_session; drop table django_session cascade")
        .await
        .unwrap();
    let ended = run_with(database.url(), &["doctor"], &silence).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
}

#[tokio::test]
async fn a_finding_that_is_misspelt_is_refused_with_the_nearest_one() {
    let silence = [("SESSION_REAPER_DOCTOR_SILENCE", "role.superusr")];
    let ended = run_with("postgresql://localhost:1/x", &["doctor"], &silence).await;
    ended.assert_refused(2, &["doctor.silence", "the nearest one is role.superuser"]);
    assert!(!ended.stderr.contains("superusr "));
}

/// Rights that the functions need on the site's own tables, whose owner is another role by now.
#[tokio::test]
async fn rights_that_are_missing_on_the_sites_tables_are_told_with_the_grant_that_gives_them() {
    let database = Database::create_bare(server()).await;
    let owner = format!("owner_{}", fastrand::u32(..));
    let give = |to: &str| {
        format!("alter table django_session owner to {to}; alter table auth_user owner to {to}")
    };
    database
        .batch_execute(&format!(
            "create role {owner} login; grant create on database {} to {owner}; grant all on schema public to {owner}; {}",
            database.name(),
            give(&owner)
        ))
        .await
        .unwrap();
    let as_owner = database
        .url()
        .replace("user=postgres", &format!("user={owner}"));
    run(&as_owner, &["migrate"]).await.assert_done();
    database.batch_execute(&give("postgres")).await.unwrap();
    let ended = examine(&database).await;
    let found = named(&ended, "rights.site").unwrap_or_else(|| panic!("{}", ended.stdout));
    assert_eq!((ended.code, &found["verdict"]), (Some(1), &"fail".into()));
    let grant = found["mend"].as_str().unwrap();
    assert!(grant.starts_with("grant "), "{grant}");
    database
        .batch_execute("alter table django_session enable row level security")
        .await
        .unwrap();
    let hidden = named(&examine(&database).await, "rights.row_security");
    assert!(hidden.is_some_and(|found| found["says"].as_str().unwrap().contains("bypassrls")));
    database
        .batch_execute("alter table django_session disable row level security")
        .await
        .unwrap();
    // Each names the next one, until nothing is missing.
    for _ in 0..5 {
        let Some(found) = named(&examine(&database).await, "rights.site") else {
            return;
        };
        let grant = found["mend"].as_str().unwrap().to_owned();
        database.batch_execute(&grant).await.unwrap();
    }
    panic!("{}", examine(&database).await.stdout);
}

/// An old transaction sees what was deleted, so that nothing can be cleaned up.
#[tokio::test]
async fn a_table_that_autovacuum_cannot_clean_up_is_found_with_how_many_rows_are_dead() {
    let database = Database::create().await;
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.batch_execute("set transaction isolation level repeatable read; select 1")
        .await
        .unwrap();
    let churn = "insert into django_session select i::text, '', now() + interval '1 day' from generate_series(1, 4000) i;
        do $$ begin for i in 1 .. 5 loop update django_session set expire_date = expire_date + interval '1 second'; end loop; end $$";
    database.batch_execute(churn).await.unwrap();
    crate::stage::wait_until("the statistics know", || async {
        let ended = examine(&database).await;
        let found = named(&ended, "autovacuum.behind");
        found.is_some_and(|found| {
            let says = found["says"].as_str().unwrap();
            says.contains("django_session, which has 20000 dead rows")
                && found["mend"] == "vacuum django_session"
        })
    })
    .await;
}

/// What a connection itself brings along, as libpq's options, what it is called, and how bad it is.
const ON_A_CONNECTION: &[(&str, &str, &str)] = &[
    (
        "-c session_replication_role=replica",
        "replication.role_here",
        "warn",
    ),
    (
        "-c default_transaction_read_only=on",
        "server.read_only",
        "fail",
    ),
    (
        "-c search_path=fake,pg_catalog,public -c fake.version=130000",
        "server.too_old",
        "fail",
    ),
    (
        "-c search_path=fake,pg_catalog,public -c fake.version=990000",
        "server.untried",
        "warn",
    ),
];

#[tokio::test]
async fn what_is_wrong_with_the_connection_is_found_on_it() {
    let database = Database::create().await;
    database
        .batch_execute(
            "create schema fake;
            create function fake.current_setting(text) returns text language sql as
                $$select case when $1 = 'server_version_num' then pg_catalog.current_setting('fake.version') else pg_catalog.current_setting($1) end$$",
        )
        .await
        .unwrap();
    for (options, id, verdict) in ON_A_CONNECTION {
        let options = [("PGOPTIONS", *options)];
        let ended = run_with(database.url(), &["doctor", "--json"], &options).await;
        let found = named(&ended, id).unwrap_or_else(|| panic!("{id}: {}", ended.stdout));
        assert_eq!(found["verdict"], *verdict);
    }
}

/// And the commands that do it.
const WITHOUT_A_DAEMON: &[(&str, &str)] = &[
    ("daemon.none", "session-reaper run"),
    ("purge.none_yet", "session-reaper purge"),
    ("linking.behind", "session-reaper link"),
];

#[tokio::test]
async fn without_a_daemon_what_it_has_not_done_is_found() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    site::abandon(&database.client, 4).await.unwrap();
    let ended = examine(&database).await;
    for (id, mend) in WITHOUT_A_DAEMON {
        let found = named(&ended, id).unwrap_or_else(|| panic!("{id}: {}", ended.stdout));
        assert_eq!(found["mend"], *mend);
    }
}

#[tokio::test]
async fn a_cache_that_does_not_answer_is_found() {
    let database = Database::create().await;
    let cache = [
        ("SESSION_REAPER_CACHE_KIND", "redis"),
        ("SESSION_REAPER_CACHE_SERVERS", "redis://127.0.0.1:1"),
    ];
    let ended = run_with(database.url(), &["doctor", "--json"], &cache).await;
    let found = named(&ended, "cache.no_answer").unwrap();
    assert_eq!(found["verdict"], "fail");
}

/// Durations, for instance, as old releases of Symfony write them.
#[tokio::test]
async fn numbers_that_can_be_no_times_are_found() {
    let database = Database::create_bare(server()).await;
    let add = "alter table django_session add column ends integer not null default 1440";
    database.batch_execute(add).await.unwrap();
    let column = [
        ("SESSION_REAPER_SITE_EXPIRES_COLUMN", "ends"),
        ("SESSION_REAPER_SITE_EXPIRES_UNIT", "epoch_s"),
    ];
    run_with(database.url(), &["migrate"], &column)
        .await
        .assert_done();
    site::visit(&database.client, 5).await.unwrap();
    let ended = run_with(database.url(), &["doctor", "--json"], &column).await;
    let found = named(&ended, "expiry.implausible").unwrap();
    assert!(
        found["says"]
            .as_str()
            .unwrap()
            .contains("most are durations")
    );
}

/// By a list above, or by a test that looks for it by its name.
#[test]
fn every_finding_has_a_test_that_plants_its_cause() {
    let listed = AILMENTS.iter().map(|(.., id, _)| *id);
    let of_connections = ON_A_CONNECTION.iter().map(|(_, id, _)| *id);
    let mut planted: BTreeSet<&str> = listed.chain(of_connections).collect();
    planted.extend(WITHOUT_A_DAEMON.iter().map(|(id, _)| *id));
    let asked = include_str!("doctor.rs").split("named(&").skip(1);
    planted.extend(asked.filter_map(|behind| behind.split('"').nth(1)));
    let canary = include_str!("canary/harm.rs");
    let of_canary = ["canary.failed", "canary.stale"];
    planted.extend(of_canary.iter().filter(|id| canary.contains(**id)));
    for id in session_reaper::settings::FINDINGS {
        assert!(planted.contains(id), "nobody plants {id}");
    }
}

/// Which of them there are, docs/doctor.md says, and how they are printed.
#[test]
fn every_finding_is_documented_and_looked_for_and_no_other() {
    let docs = include_str!("../../docs/doctor.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<&str> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|name| name.contains('.'))
        .collect();
    assert_eq!(documented, session_reaper::settings::FINDINGS);
    let code = [
        include_str!("../../src/doctor/cache.rs"),
        include_str!("../../src/doctor/canary.rs"),
        include_str!("../../src/doctor/connection.rs"),
        include_str!("../../src/doctor/installation.rs"),
        include_str!("../../src/doctor/mod.rs"),
        include_str!("../../src/doctor/server.rs"),
        include_str!("../../src/doctor/tables.rs"),
        include_str!("../../src/doctor/work.rs"),
    ]
    .concat();
    for id in documented {
        assert!(code.contains(&format!("\"{id}\"")), "nobody finds {id}");
    }
}
