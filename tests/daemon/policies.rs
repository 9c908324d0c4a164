//! How many sessions a user may have, and for how long: who is beyond that is logged out, with the reason in the record, and
//! nobody else.

use std::time::Duration;

use session_reaper::settings::{Policies, Settings};

use crate::stage::{
    Database, connect,
    faked_clock::FakedClock,
    figures::{Said::Exactly, assert_moved, metrics},
    program::{SettingsFile, run, run_with},
    server, start_server_with, target, wait_until,
};

fn limited(policy: Policies) -> Settings {
    Settings {
        policy,
        ..Settings::default()
    }
}

fn at_most(sessions: u32) -> Settings {
    limited(Policies {
        sessions_max: Some(sessions),
        ..Policies::default()
    })
}

/// One login after the other, the oldest first.
async fn log_in(database: &Database, user: i32, times: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..times {
        keys.extend(database.log_in(user, 1).await);
    }
    keys
}

async fn reasons(database: &Database) -> Vec<(String, i64)> {
    let statement = "select r.reason, sum(r.sessions_ended)::bigint from session_reaper.revocation r group by 1 order by 1";
    let rows = database.query(statement, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Makes sessions look as old.
async fn age(database: &Database, keys: &[String], seconds: f64) {
    let back = "update session_reaper.user_session
        set begun_at = begun_at - $2 * interval '1 second', linked_at = linked_at - $2 * interval '1 second'
        where session_key = any ($1)";
    database.execute(back, &[&keys, &seconds]).await.unwrap();
}

#[tokio::test]
async fn the_oldest_sessions_end_when_a_user_has_too_many_and_nobody_elses() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let before = log_in(&database, users[0], 4).await;
    let others = log_in(&database, users[1], 2).await;
    let idle = metrics(&database).await;
    let _daemon = database.daemon_with(at_most(2)).await;
    wait_until("the older half is gone", || async {
        database.count(&before).await == 2
    })
    .await;
    assert_eq!(database.count(&before[2..]).await, 2);

    // One more, and the oldest of them ends.
    let more = log_in(&database, users[0], 1).await;
    wait_until("the oldest is gone", || async {
        database.count(&before).await == 1
    })
    .await;
    assert_eq!(database.count(&before[3..]).await, 1);
    assert_eq!(
        (database.count(&more).await, database.count(&others).await),
        (1, 2)
    );
    database.settled().await;
    assert_eq!(reasons(&database).await, [("sessions_max".to_owned(), 3)]);
    assert_moved(
        &idle,
        &metrics(&database).await,
        &[
            (
                "revocations_total{reason=sessions_max}",
                Exactly(0.0),
                Exactly(2.0),
            ),
            (
                "ended_sessions_total{reason=sessions_max}",
                Exactly(0.0),
                Exactly(3.0),
            ),
        ],
    );

    let history = run(database.url(), &["history", &users[0].to_string()]).await;
    assert!(
        history
            .assert_done()
            .contains(&format!("2 sessions of user {}, sessions_max", users[0])),
        "{}",
        history.stdout
    );
}

#[tokio::test]
async fn staff_may_have_fewer_sessions_than_others_and_shorter_ones() {
    let database = Database::create_bare(server()).await;
    let mut settings = limited(Policies {
        sessions_max: Some(3),
        sessions_max_where: [("true".to_owned(), 1)].into(),
        lifetime_where_s: [("true".to_owned(), 3600)].into(),
        check_interval_s: 1,
        ..Policies::default()
    });
    settings.site.policy_column = Some("is_staff".to_owned());
    database.migrate_with(&settings).await;
    let users = database.users(2).await;
    let promote = "update auth_user set is_staff = true where id = $1";
    database.execute(promote, &[&users[0]]).await.unwrap();
    let (staff, other) = (
        log_in(&database, users[0], 3).await,
        log_in(&database, users[1], 4).await,
    );
    let _daemon = database.daemon_with(settings).await;
    wait_until(
        "one of the staff's and three of the other's are left",
        || async { database.count(&staff).await == 1 && database.count(&other).await == 3 },
    )
    .await;
    age(&database, &staff, 3700.0).await;
    age(&database, &other, 3700.0).await;
    wait_until("the staff's is too old", || async {
        database.count(&staff).await == 0
    })
    .await;
    assert_eq!(database.count(&other).await, 3);
    database.settled().await;
    let expected = [("lifetime".to_owned(), 1), ("sessions_max".to_owned(), 3)];
    assert_eq!(reasons(&database).await, expected);
}

#[tokio::test]
async fn a_session_ends_when_its_login_is_too_long_ago_however_much_it_is_used() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 3).await;
    age(&database, &sessions[..1], 7201.0).await;
    // Nobody knows how old one from before the installation is; it counts as of when it was found.
    let unknown =
        "update session_reaper.user_session set begun_at = '-infinity' where session_key = $1";
    database.execute(unknown, &[&sessions[1]]).await.unwrap();
    let settings = limited(Policies {
        lifetime_s: Some(7200),
        check_interval_s: 1,
        ..Policies::default()
    });
    let before = metrics(&database).await;
    let _daemon = database.daemon_with(settings).await;
    wait_until("the first is gone", || async {
        database.count(&sessions[..1]).await == 0
    })
    .await;
    age(&database, &sessions[1..2], 7201.0).await;
    let used = "update django_session set expire_date = now() + interval '14 days'";
    database.execute(used, &[]).await.unwrap();
    wait_until("the second is gone", || async {
        database.count(&sessions[1..2]).await == 0
    })
    .await;
    assert_eq!(database.count(&sessions[2..]).await, 1);
    database.settled().await;
    assert_eq!(reasons(&database).await, [("lifetime".to_owned(), 2)]);
    assert_moved(
        &before,
        &metrics(&database).await,
        &[
            (
                "revocations_total{reason=lifetime}",
                Exactly(0.0),
                Exactly(2.0),
            ),
            (
                "ended_sessions_total{reason=lifetime}",
                Exactly(0.0),
                Exactly(2.0),
            ),
        ],
    );
}

/// Here the column says when a session was last used, as Laravel's does.
#[tokio::test]
async fn a_session_that_nobody_uses_ends_where_the_store_says_so_and_the_setting_is_refused_elsewhere()
 {
    let database = Database::create_bare(server()).await;
    let mut settings = limited(Policies {
        idle_s: Some(1800),
        check_interval_s: 1,
        ..Policies::default()
    });
    settings.site.lifetime_s = Some(86_400);
    database.migrate_with(&settings).await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 2).await;
    age(&database, &sessions, 4000.0).await;
    let used = "update django_session set expire_date = now() - case session_key when $1 then interval '31 minutes' else interval '29 minutes' end";
    database.execute(used, &[&sessions[0]]).await.unwrap();
    let before = metrics(&database).await;
    let _daemon = database.daemon_with(settings).await;
    wait_until("the idle one is gone", || async {
        database.count(&sessions[..1]).await == 0
    })
    .await;
    assert_eq!(database.count(&sessions).await, 1);
    database.settled().await;
    assert_eq!(reasons(&database).await, [("idle".to_owned(), 1)]);
    assert_moved(
        &before,
        &metrics(&database).await,
        &[
            ("revocations_total{reason=idle}", Exactly(0.0), Exactly(1.0)),
            (
                "ended_sessions_total{reason=idle}",
                Exactly(0.0),
                Exactly(1.0),
            ),
        ],
    );

    for preset in ["django", "phoenix"] {
        let variables = [
            ("SESSION_REAPER_POLICY_IDLE_S", "1800"),
            ("SESSION_REAPER_SITE_PRESET", preset),
        ];
        run_with(database.url(), &["config"], &variables)
            .await
            .assert_refused(
                2,
                &["policy.idle_s", "does not say when a session was last used"],
            );
    }
}

/// As Supabase's `refreshed_at`, which is null until the first time.
#[tokio::test]
async fn a_column_of_its_own_may_say_when_a_session_was_last_used() {
    let database = Database::create_bare(server()).await;
    let mut settings = limited(Policies {
        idle_s: Some(1800),
        check_interval_s: 1,
        ..Policies::default()
    });
    settings.site.used_column = Some("used".to_owned());
    settings.site.time_zone = Some("Asia/Kathmandu".to_owned());
    database
        .batch_execute("alter table django_session add column used timestamp")
        .await
        .unwrap();
    database.migrate_with(&settings).await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 4).await;
    // Two are old, of which one has been used, and two are young, of which one has not been used for too long.
    age(&database, &sessions[..2], 4000.0).await;
    let use_it = "update django_session set used = (now() - $2::text::interval) at time zone 'Asia/Kathmandu' where session_key = $1";
    for (session, ago) in [(&sessions[1], "29 minutes"), (&sessions[2], "31 minutes")] {
        database.execute(use_it, &[session, &ago]).await.unwrap();
    }
    let _daemon = database.daemon_with(settings).await;
    wait_until("the idle ones are gone", || async {
        database
            .count(&[sessions[0].clone(), sessions[2].clone()])
            .await
            == 0
    })
    .await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 2);
    assert_eq!(reasons(&database).await, [("idle".to_owned(), 2)]);
}

#[tokio::test]
async fn a_dry_run_says_who_would_be_logged_out_and_logs_nobody_out() {
    let database = Database::create().await;
    let users = database.users(3).await;
    let mut sessions = log_in(&database, users[0], 4).await;
    sessions.extend(log_in(&database, users[1], 3).await);
    sessions.extend(log_in(&database, users[2], 2).await);
    // A piece holds two links, so that a user's are in several.
    let file = SettingsFile::new("[policy]\nsessions_max = 2\nbatch_rows = 2\n");
    let with_file = |rest: &[&'static str]| {
        let mut arguments = vec!["--config", file.path(), "policies"];
        arguments.extend(rest);
        arguments
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let ask = async |rest: &[&'static str]| {
        let arguments = with_file(rest);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(database.url(), &arguments).await
    };
    let said = ask(&["--dry-run"]).await;
    let expected = format!(
        "user {}: 2 sessions, sessions_max\nuser {}: 1 session, sessions_max\n3 sessions of 2 users would end\n",
        users[0], users[1]
    );
    assert_eq!(said.assert_done(), expected);
    let json = ask(&["--dry-run", "--json"]).await;
    let over: serde_json::Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(over.as_array().unwrap().len(), 3);
    assert!(
        sessions
            .iter()
            .all(|key| !json.stdout.contains(key.as_str()))
    );
    assert_eq!(database.count(&sessions).await, 9);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.change")
            .await,
        0
    );

    // And with the consequence, without a daemon.
    assert_eq!(ask(&[]).await.assert_done(), "3 sessions ended\n");
    assert_eq!(database.count(&sessions).await, 6);
    assert_eq!(ask(&[]).await.assert_done(), "0 sessions ended\n");
}

/// P6, and P1 in the end.
#[tokio::test]
async fn a_session_that_a_request_holds_is_waited_for_by_nobody_and_ends_after_it() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 4).await;
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    let hold = "select from django_session where session_key = $1 for update";
    request.execute(hold, &[&sessions[0]]).await.unwrap();
    let _daemon = database.daemon_with(at_most(2)).await;
    wait_until("the free one is gone", || async {
        database.count(&sessions[1..2]).await == 0
    })
    .await;
    assert_eq!(database.count(&sessions).await, 3);
    request.commit().await.unwrap();
    wait_until("the other one is gone, too", || async {
        database.count(&sessions).await == 2
    })
    .await;
    assert_eq!(database.count(&sessions[2..]).await, 2);
}

/// P2: the data names somebody else by now, whom nobody has linked yet.
#[tokio::test]
async fn a_session_whose_data_waits_to_be_read_is_left_until_it_is_known_whose_it_is() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let sessions = log_in(&database, users[0], 2).await;
    database
        .batch_execute(
            "update session_reaper.user_session set from_data = true; delete from session_reaper.pending_link",
        )
        .await
        .unwrap();
    // The first one becomes the session of the other user.
    let other = log_in(&database, users[1], 1).await;
    database
        .execute(
            "update django_session set session_data = (select session_data from django_session where session_key = $2) where session_key = $1",
            &[&sessions[0], &other[0]],
        )
        .await
        .unwrap();
    let one = [("SESSION_REAPER_POLICY_SESSIONS_MAX", "1")];
    let ended = run_with(database.url(), &["policies"], &one).await;
    assert_eq!(ended.assert_done(), "0 sessions ended\n");
    assert_eq!(database.count(&sessions).await, 2);

    // With a daemon it is known, and then the other user has one too many: the older one of the two.
    let _daemon = database.daemon_with(at_most(1)).await;
    wait_until("the other user has one", || async {
        let left = database
            .count(&[other[0].clone(), sessions[0].clone()])
            .await;
        left == 1
    })
    .await;
    assert_eq!(database.count(&sessions[1..]).await, 1);
}

#[tokio::test]
async fn a_daemon_of_least_rights_enforces() {
    let database = Database::create_bare(server()).await;
    let role = format!("reaper_{}", fastrand::u32(..));
    let mut settings = at_most(1);
    settings.site.daemon_role = Some(role.clone());
    settings.site.policy_column = Some("is_staff".to_owned());
    database
        .batch_execute(&format!("create role {role} login"))
        .await
        .unwrap();
    database.migrate_with(&settings).await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 3).await;
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let _daemon = database.daemon_at(settings, target(&url)).await;
    wait_until("one is left", || async {
        database.count(&sessions).await == 1
    })
    .await;
    database.settled().await;
    // Nothing that the role may call tells it what stands in other columns.
    let stolen = connect(&url).await;
    let hash = stolen.execute("select password from auth_user", &[]).await;
    assert!(hash.is_err());
}

/// A server whose clock is behind that of the daemon's machine, and one whose clock is set back meanwhile.
#[tokio::test]
async fn new_logins_are_looked_at_whatever_time_the_server_thinks_it_is() {
    let Some(clock) = FakedClock::find() else {
        return;
    };
    let server = start_server_with(&[], clock.variables());
    clock.set(-600);
    let database = Database::create_on(&server).await;
    let users = database.users(2).await;
    let _daemon = database.daemon_with(at_most(1)).await;
    database.sessions_backfilled().await;
    for (user, offset_s) in users.into_iter().zip([-600, -1200]) {
        clock.set(offset_s);
        // The walk through everything is over, and comes again in an hour.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let sessions = log_in(&database, user, 3).await;
        wait_until("all but the last are gone", || async {
            database.count(&sessions).await == 1
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_policy_nobody_looks() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 30).await;
    let _daemon = database.daemon().await;
    database.sessions_backfilled().await;
    database.change_password(database.users(1).await[0]).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 30);
    let said = run(database.url(), &["policies", "--dry-run"]).await;
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "0 sessions of 0 users would end\n")
    );
    assert_eq!(
        said.stderr,
        "nothing is limited: no policy is set under [policy]\n"
    );
}

/// One that the site's own foreign key keeps is tried again as ever, and is not asked for twice.
#[tokio::test]
async fn a_session_that_cannot_be_deleted_is_asked_for_once() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 3).await;
    database
        .batch_execute("create table basket (session_key varchar(40) references django_session deferrable initially deferred)")
        .await
        .unwrap();
    let keep = "insert into basket values ($1)";
    database.execute(keep, &[&sessions[0]]).await.unwrap();
    let _daemon = database.daemon_with(at_most(1)).await;
    wait_until("the other one is gone", || async {
        database.count(&sessions[1..2]).await == 0
    })
    .await;
    let again = "select count(*) from session_reaper.revocation where attempts > 1";
    wait_until("it has been tried again", || async {
        database.number(again).await == 1
    })
    .await;
    // Whole passes come and go meanwhile: a login has the user looked at.
    let more = log_in(&database, user, 1).await;
    wait_until("one too many has ended", || async {
        database.count(&sessions[2..]).await == 0
    })
    .await;
    let asked = "select count(*) from session_reaper.revoked_key k where k.session_key = $1";
    let asked = database.query_one(asked, &[&sessions[0]]).await.unwrap();
    assert_eq!(asked.get::<_, i64>(0), 1);
    assert_eq!(database.count(&more).await, 1);
    database.execute("delete from basket", &[]).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn explain_names_the_policy_that_ends_a_session_next_and_no_other_session() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = log_in(&database, user, 3).await;
    let two = [("SESSION_REAPER_POLICY_SESSIONS_MAX", "2")];
    let user = user.to_string();
    let said = run_with(database.url(), &["explain", &user], &two).await;
    let said = said.assert_done();
    assert_eq!(
        said.matches("ends by the policy sessions_max").count(),
        1,
        "{said}"
    );
    let json = run_with(database.url(), &["explain", &user, "--json"], &two).await;
    let explained: serde_json::Value = serde_json::from_str(json.assert_done()).unwrap();
    let policies: Vec<_> = explained["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["policy"].clone())
        .collect();
    assert_eq!(
        policies,
        [
            "sessions_max".into(),
            serde_json::Value::Null,
            serde_json::Value::Null
        ],
        "the oldest first"
    );
    assert!(sessions.iter().all(|key| !said.contains(key.as_str())));
    let without = run(database.url(), &["explain", &user]).await;
    assert!(
        !without.assert_done().contains("policy"),
        "{}",
        without.stdout
    );
}

/// Each key of [policy], but those that say how it is enforced, is set by a test that sees whom it logs out.
#[test]
fn every_policy_has_a_test_that_plants_its_cause() {
    let keys = serde_json::to_value(Policies::default()).unwrap();
    let tests = include_str!("policies.rs");
    for key in keys.as_object().unwrap().keys() {
        let is_pace = ["check_interval_s", "batch_rows", "pause_ratio"].contains(&key.as_str());
        let is_set = |with: &str| tests.contains(&format!("        {key}: {with}"));
        assert!(
            is_pace || is_set("Some(") || is_set("[("),
            "nobody sets {key}"
        );
    }
}
