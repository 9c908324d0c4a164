//! How findings are told, to people and to scripts.

use super::{ailments, examine, findings, named};
use crate::stage::{
    Database,
    program::{run, run_with},
    server,
};

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
