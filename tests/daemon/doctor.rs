//! `doctor` finds each ailment, says what to do, and finds none where there is none.

use serde_json::Value;
use session_reaper::demo::site;

use crate::{
    process::program::{Ended, run, run_with},
    stage::{Database, server, server_with_two_phase_commit},
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

async fn examine(database: &Database) -> Ended {
    run(database.url(), &["doctor", "--json"]).await
}

/// Each with the check that finds it, and words of its advice.
const AILMENTS: &[(&str, &str, &str)] = &[
        (
            "drop trigger session_reaper_update_password on auth_user",
            "triggers fail: ",
            "`session-reaper migrate`",
        ),
        (
            "alter table django_session disable trigger all",
            "triggers fail: ",
            "`session-reaper migrate`",
        ),
        (
            "alter table session_reaper.revocation alter column user_id type bigint",
            "triggers fail: ",
            "`session-reaper resume`",
        ),
        (
            "alter table django_session rename to sessions",
            "tables fail: ",
            "django_session, which does not exist",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'sweep'",
            "functions warn: ",
            "sweep are of another release",
        ),
        (
            "insert into session_reaper.pause (complete) values (true)",
            "pause warn: ",
            "`session-reaper resume`",
        ),
        (
            "create publication everything for all tables",
            "publications warn: ",
            "subscribers hold session keys",
        ),
        (
            "create publication everything for all tables; create table session_reaper.odd (a integer)",
            "publications fail: ",
            "odd in session_reaper has no replica identity",
        ),
        (
            "do $$ begin execute format('alter database %I set session_replication_role = replica', current_database()); end $$",
            "replication warn: ",
            "every role",
        ),
        (
            "drop index django_session_expire_date_a5c62663",
            "expiry index warn: ",
            "create index concurrently on \"public\".\"django_session\" (\"expire_date\")",
        ),
        (
            "create table basket (session_key varchar(40) references django_session deferrable initially deferred)",
            "references warn: ",
            "basket refers to",
        ),
        (
            "insert into django_session select i::text, '', now() - interval '1 day' from generate_series(1, 3) i;
            update session_reaper.purge set finished_at = now() - interval '5 hours'",
            "purge warn: ",
            "3 expired sessions wait, and the last purge ended 18",
        ),
        (
            "update session_reaper.schema_history set version = 99 where version = 4",
            "schema fail: ",
            "install the newer release",
        ),
    ];

/// The role of the tests is a superuser, which is
/// worth knowing and no more.
#[tokio::test]
async fn each_ailment_is_found_by_its_check_with_what_to_do() {
    for (harm, finding, advice) in AILMENTS {
        let database = Database::create().await;
        let _daemon = database.daemon().await;
        database.sessions_read().await;
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
        text.contains("\nwarn  role           postgres is a superuser"),
        "{text}"
    );
    assert!(
        text.contains("\nok    notifications  arrive, after "),
        "{text}"
    );
    assert!(text.ends_with("\n0 fail, 2 to know\n"), "{text}");
    assert_eq!(text.lines().count(), 24, "{text}");
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
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_setting_gives_them() {
    let database = Database::create().await;
    let role = format!("nobody_{}", fastrand::u32(..));
    database
        .batch_execute(&format!("create role {role} login; grant usage on schema session_reaper to {role}; grant select on all tables in schema session_reaper to {role}; grant execute on function session_reaper.is_served, session_reaper.is_queue_full, session_reaper.awaiting_eviction to {role}"))
        .await
        .unwrap();
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let found = ailments(&run(&url, &["doctor", "--json"]).await);
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
    let file = crate::process::program::SettingsFile::new("[purge]\nschedule = \"\"\n");
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
    let found = ailments(&examine(&database).await);
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
