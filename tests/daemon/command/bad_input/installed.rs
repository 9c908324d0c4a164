//! What is installed is not what this release works with.

use crate::stage::{
    Database,
    program::{Daemon, run, run_with},
    server,
};

const MIGRATE: &str = "run `session-reaper migrate`";

#[tokio::test]
async fn what_is_not_installed_says_how_to_install_it() {
    let database = Database::create_bare(server()).await;
    for arguments in [&["run"][..], &["status"], &["purge"], &["revoke", "--all"]] {
        run(database.url(), arguments)
            .await
            .assert_command_failed(&["session-reaper is not installed in this database", MIGRATE]);
    }
}

#[tokio::test]
async fn a_missing_or_disabled_trigger_is_refused_and_migrate_mends_it() {
    let database = Database::create().await;
    for harm in [
        "drop trigger session_reaper_update_password on auth_user",
        "alter table auth_user disable trigger session_reaper_update_password",
        "alter table auth_user disable trigger \"A_session_reaper_user_deleted\"",
        "create or replace trigger session_reaper_update_password after update on auth_user
            for each row when (false) execute function session_reaper.credential_changed('password', 'others');
        comment on trigger session_reaper_update_password on auth_user is null",
    ] {
        database.batch_execute(harm).await.unwrap();
        run(database.url(), &["run"])
            .await
            .assert_command_failed(&["session_reaper_", "on public.auth_user is missing, disabled or not ours", MIGRATE]);
        let mended = run(database.url(), &["migrate"]).await;
        assert!(mended.assert_done().contains("trigger    "), "{harm}: {}", mended.stdout);
        let mut daemon = Daemon::start(database.url());
        daemon.serves().await;
        daemon.signal("TERM");
        daemon.ended().await;
    }
}

#[tokio::test]
async fn a_schema_that_is_newer_than_this_release_is_left_alone() {
    let database = Database::create().await;
    database
        .batch_execute(
            "insert into session_reaper.schema_history (version, name, applied_on, checksum)
            values (99, 'from_the_future', '2030-01-01T00:00:00Z', '0')",
        )
        .await
        .unwrap();
    for command in ["run", "migrate"] {
        run(database.url(), &[command])
            .await
            .assert_command_failed(&[
                "is at version 99, which is newer than this release knows",
                "install the newer release",
            ]);
    }
}

#[tokio::test]
async fn a_schema_that_is_older_asks_for_migrate() {
    let database = Database::create().await;
    database
        .batch_execute(
            "delete from session_reaper.schema_history
            where version = (select max(version) from session_reaper.schema_history)",
        )
        .await
        .unwrap();
    run(database.url(), &["run"])
        .await
        .assert_command_failed(&["this release needs", MIGRATE]);
}

#[tokio::test]
async fn another_site_than_the_installed_one_is_refused() {
    let database = Database::create().await;
    database
        .batch_execute("create table member (like auth_user including all)")
        .await
        .unwrap();
    for command in ["run", "migrate"] {
        run_with(
            database.url(),
            &[command],
            &[("SESSION_REAPER_SITE_USER_TABLE", "member")],
        )
        .await
        .assert_command_failed(&[
            "looks after public.django_session and public.auth_user",
            "one database is one site",
            "leave it alone",
            "set [site] back",
            "`session-reaper uninstall`",
        ]);
    }
}

#[tokio::test]
async fn a_daemon_without_its_rights_is_told_which_command_grants_them() {
    let database = Database::create().await;
    database
        .batch_execute("do $$ begin create role beginner login; exception when duplicate_object then null; end $$")
        .await
        .unwrap();
    let url = database.url().replace("user=postgres", "user=beginner");
    run(&url, &["run"]).await.assert_command_failed(&[
        "permission denied for schema session_reaper",
        "or as the one that it named in site.daemon_role when it ran `session-reaper migrate`",
    ]);
    run_with(
        database.url(),
        &["migrate"],
        &[("SESSION_REAPER_SITE_DAEMON_ROLE", "beginner")],
    )
    .await
    .assert_done();
    Daemon::start(&url).serves().await;
}
