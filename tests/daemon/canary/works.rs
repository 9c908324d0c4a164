//! It succeeds where a revocation works.

use session_reaper::settings::Settings;

use super::{connect, doctor, run, seen, sessions, settings, site, succeeds};
use crate::{
    evict::cached,
    stage::{
        Database,
        figures::{
            Said::{AtLeast, Exactly, Nothing},
            assert_moved, metrics,
        },
        server, target, wait_until, without_polling,
    },
};

/// Nothing polls for an hour, so that only the notification can explain that it comes to its end.
#[tokio::test]
async fn a_run_drives_a_session_of_its_own_to_its_end_and_tells_how_long_that_took() {
    let (database, user, other) = site().await;
    let others = database.log_in(other, 3).await;
    let hash = "select count(*) from auth_user where password like 'pbkdf2%'";
    let hashes = database.number(hash).await;
    let mut settings = settings(Some(&user));
    settings.listen = without_polling().listen;
    let _daemon = database.daemon_with(settings).await;
    succeeds(&database).await;

    let canary = seen(&database).await;
    let (gone, settled) = (
        canary["gone_s"].as_f64().unwrap(),
        canary["settled_s"].as_f64().unwrap(),
    );
    assert!(0.0 < gone && gone <= settled, "{canary}");
    assert_eq!(
        (&canary["user"], &canary["failures"]),
        (&user.as_str().into(), &0.into())
    );
    let ended = "select count(*) from session_reaper.revocation
        where reason = 'canary' and scope = 'user' and sessions_ended = 1 and state = 'settled'";
    assert!(database.number(ended).await > 0);
    let history = run(database.url(), &["history", &user]).await;
    assert!(
        history.assert_done().contains("canary"),
        "{}",
        history.stdout
    );

    // Nobody else's session, nobody's password, nothing that could not be read.
    assert_eq!(database.count(&others).await, 3);
    assert_eq!(database.number(hash).await, hashes);
    let asked = "select count(*) from session_reaper.revocation where reason <> 'canary'";
    assert_eq!(database.number(asked).await, 0);
    let unreadable = "select count(*) from session_reaper.unreadable";
    assert_eq!(database.number(unreadable).await, 0);
    wait_until("its own is gone", || async {
        sessions(&database).await == 3
    })
    .await;
}

#[tokio::test]
async fn its_figures_stand_beside_those_of_users_and_not_among_them() {
    let (database, user, other) = site().await;
    database.log_in(other, 1).await;
    let before = metrics(&database).await;
    let daemon = database.daemon_with(settings(Some(&user))).await;
    succeeds(&database).await;
    daemon.stop().await;
    let last = "select gone_s, settled_s, extract(epoch from succeeded_at)::double precision from session_reaper.canary";
    let last = database.query_one(last, &[]).await.unwrap();
    let figures = metrics(&database).await;
    assert_moved(
        &before,
        &figures,
        &[
            ("canary_seconds{stage=gone}", Nothing, Exactly(last.get(0))),
            (
                "canary_seconds{stage=settled}",
                Nothing,
                Exactly(last.get(1)),
            ),
            ("canary_timestamp_seconds", Nothing, Exactly(last.get(2))),
            ("canary_failures_total", Nothing, Exactly(0.0)),
            ("canary_failing", Nothing, Exactly(0.0)),
            (
                "revocations_total{reason=canary}",
                Exactly(0.0),
                AtLeast(1.0),
            ),
            (
                "ended_sessions_total{reason=canary}",
                Exactly(0.0),
                AtLeast(1.0),
            ),
        ],
    );
    let figure = |name: &str| figures[&format!("session_reaper_{name}")];
    for of_users in ["gone_seconds_count", "settled_seconds_count"] {
        assert_eq!(figure(of_users), 0.0, "{of_users}");
    }
    let said = run(database.url(), &["status"]).await.stdout;
    assert!(said.contains("gone within "), "{said}");
    assert!(!said.contains("last hour"), "{said}");
    let _daemon = database.daemon_with(settings(Some(&user))).await;
    succeeds(&database).await;
    let (ended, finding) = doctor(&database, &user).await;
    assert_eq!(finding["verdict"], "ok", "{}", ended.stdout);

    database.change_password(other).await;
    database.settled().await;
    assert_eq!(
        metrics(&database).await["session_reaper_gone_seconds_count"],
        1.0
    );
}

#[tokio::test]
async fn without_a_user_no_session_is_opened_and_the_way_is_driven_all_the_same() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let own = database.log_in(user, 2).await;
    let refuse = "create function refuse() returns trigger language plpgsql as 'begin raise exception ''touched''; end';
        create trigger refuse before insert or delete on django_session for each statement execute function refuse()";
    database.batch_execute(refuse).await.unwrap();
    let _daemon = database.daemon_with(settings(None)).await;
    succeeds(&database).await;
    let canary = seen(&database).await;
    assert!(canary["gone_s"].as_f64().unwrap() > 0.0, "{canary}");
    assert!(canary["user"].is_null());
    assert_eq!(database.count(&own).await, 2);
}

#[tokio::test]
async fn a_daemon_of_least_rights_runs_it_and_whoever_steals_its_role_names_no_other_user() {
    let database = Database::create_bare(server()).await;
    let users = database.users(2).await;
    let role = format!("reaper_{}", fastrand::u32(..));
    let user = users[0].to_string();
    let mut settings = settings(Some(&user));
    settings.site.daemon_role = Some(role.clone());
    let create = format!("create role {role} login");
    database.batch_execute(&create).await.unwrap();
    database.migrate_with(&settings).await;
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let daemon = database.daemon_at(settings, target(&url)).await;
    succeeds(&database).await;
    daemon.stop().await;

    let stolen = connect(&url).await;
    let begin = "select outcome from session_reaper.canary_begin($1, 0, 0)";
    let begin = stolen.query_one(begin, &[&users[1].to_string()]).await;
    assert_eq!(begin.unwrap().get::<_, String>(0), "failed");
    let other = "select count(*) from session_reaper.canary where failed_stage = 'other_user' and own_session is null";
    assert_eq!(database.number(other).await, 1);
    assert_eq!(sessions(&database).await, 0);
    for statement in [
        "select session_reaper.canary_session('1')",
        "update session_reaper.canary set user_key = '1'",
    ] {
        assert!(stolen.execute(statement, &[]).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn daemons_take_turns() {
    let (database, user, _) = site().await;
    database
        .batch_execute(
            "create table began (at timestamptz);
            create function note_begin() returns trigger language plpgsql as
                $$ begin insert into public.began values (new.began_at); return null; end $$;
            create trigger note_begin after update of began_at on session_reaper.canary for each row
                when (new.began_at is distinct from old.began_at) execute function note_begin()",
        )
        .await
        .unwrap();
    let _first = database.daemon_with(settings(Some(&user))).await;
    let _second = database.daemon_with(settings(Some(&user))).await;
    let runs = "select count(*) from began";
    wait_until("some runs have begun", || async {
        database.number(runs).await >= 4
    })
    .await;
    // What the setting says, by the clock of the server, which all of them go by.
    let too_close =
        "select count(*) from (select at - lag(at) over (order by at) as gap from began) g
        where g.gap < interval '1 second'";
    assert_eq!(database.number(too_close).await, 0);
    let failed = "select failures from session_reaper.canary";
    assert_eq!(database.number(failed).await, 0);
}

/// P5: the cache is on its way, too.
#[tokio::test]
async fn it_is_not_settled_before_the_cache_has_forgotten_its_session() {
    let database = cached::cached_site().await;
    let user = database.users(1).await[0].to_string();
    let with_cache: Settings = cached::settings();
    let mut settings = settings(Some(&user));
    settings.cache.clone_from(&with_cache.cache);
    settings.site.cached = with_cache.site.cached;
    database.migrate_with(&settings).await;
    let _daemon = database.daemon_with(settings).await;
    succeeds(&database).await;
    let canary = seen(&database).await;
    // After refill_grace_s, which is a second here.
    assert!(canary["settled_s"].as_f64() >= Some(1.0), "{canary}");
    assert!(
        canary["gone_s"].as_f64() < canary["settled_s"].as_f64(),
        "{canary}"
    );
    let evicted = "select sessions from session_reaper.eviction";
    assert!(database.number(evicted).await > 0);
}
