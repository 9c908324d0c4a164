//! Bad input is boring (P8): one sentence that says what is wrong and what mends it, and an exit code.

mod at_run_time;
mod installed;
mod site;

use session_reaper::demo::server::Shutdown;

use crate::stage::{
    Database,
    program::{SettingsFile, run, run_with},
    server, start_server,
};

#[tokio::test]
async fn a_wrong_connection_string_is_wrong_configuration_and_not_repeated() {
    for url in [
        "mysql://app:s3cret@db.example/shop",
        "postgresql://app:s3cret@db.example:port/shop",
        "postgresql://app:s3cret@db.example/shop?sslmode=maybe",
        "postgresql://app:s3cret@db.example/shop?no_such_parameter=1",
        "postgresql://app:s3cret%zz@db.example/shop",
    ] {
        for command in ["run", "migrate", "status"] {
            let ended = run(url, &[command]).await;
            ended.assert_refused(2, &[]);
            assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_database_or_a_role_that_does_not_exist_is_named() {
    for (url, says) in [
        (
            server().url("no_such_database"),
            [
                "no_such_database",
                "create the database or correct its name",
            ],
        ),
        (
            server()
                .url("postgres")
                .replace("user=postgres", "user=no_such_role"),
            ["no_such_role", "check that the role exists"],
        ),
    ] {
        for command in ["run", "migrate"] {
            run(&url, &[command]).await.assert_command_failed(&says);
        }
    }
}

#[tokio::test]
async fn an_unreachable_server_fails_every_command_but_run() {
    let mut server = start_server(&[]);
    let database = Database::create_on(&server).await;
    server.stop(Shutdown::Fast).unwrap();
    for arguments in [
        &["migrate"][..],
        &["status"],
        &["purge"],
        &["revoke", "--all"],
        &["uninstall", "--yes"],
    ] {
        run(database.url(), arguments).await.assert_refused(
            1,
            &[
                "cannot connect to database test_",
                "check that PostgreSQL runs and listens there",
            ],
        );
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_refused() {
    let database = Database::create().await;
    let url = format!(
        "{}&options=-c%20default_transaction_read_only%3Don",
        database.url()
    );
    for arguments in [
        &["migrate"][..],
        &["run"],
        &["purge"],
        &["uninstall", "--yes"],
    ] {
        run(&url, arguments)
            .await
            .assert_command_failed(&["this server is read-only", "connect to the primary"]);
    }
}

#[tokio::test]
async fn misspelt_settings_are_wrong_configuration_and_the_nearest_name_is_told() {
    let database = Database::create_bare(server()).await;
    let file = SettingsFile::new("[listen]\n\n[purge]\nshedule = '0 0 * * * *'");
    run(database.url(), &["run", "--config", file.path()])
        .await
        .assert_refused(2, &["line 4", "`shedule` is not known", "`schedule`"]);
    file.write("[purge]\nschedule = 'now and then'");
    run(database.url(), &["run", "--config", file.path()])
        .await
        .assert_refused(
            2,
            &["purge.schedule has to be a cron expression of six fields"],
        );
    run(database.url(), &["run", "--config", "/nonexistent.toml"])
        .await
        .assert_refused(2, &["cannot read the settings file /nonexistent.toml"]);
    for (name, says) in [
        (
            "SESSION_REAPER_PURGE_SHEDULE",
            "SESSION_REAPER_PURGE_SCHEDULE",
        ),
        (
            "SESSION_REAPER_REVOKE_BATCH_ROWS",
            "a whole number from 0 to",
        ),
        (
            "SESSION_REAPER_LOG_LEVEL",
            "error, warn, info, debug or trace",
        ),
    ] {
        run_with(database.url(), &["run"], &[(name, "much")])
            .await
            .assert_refused(2, &[says]);
    }
}

#[tokio::test]
async fn an_empty_credential_or_variable_is_told_for_what_it_is() {
    let directory = std::env::temp_dir().join(format!(
        "session-reaper-credentials-{:016x}",
        fastrand::u64(..)
    ));
    std::fs::create_dir_all(&directory).unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())];
    for text in ["", "\n", "  \n\n"] {
        std::fs::write(directory.join("database_url"), text).unwrap();
        run_with("", &["run"], &variables)
            .await
            .assert_refused(2, &["the credential", "database_url is empty"]);
    }
    std::fs::remove_dir_all(&directory).unwrap();
    for url in ["", " ", "\n"] {
        run(url, &["run"])
            .await
            .assert_refused(2, &["no database was given"]);
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_named() {
    let directory = std::env::temp_dir().join(format!(
        "session-reaper-credentials-{:016x}",
        fastrand::u64(..)
    ));
    std::fs::create_dir_all(directory.join("database_url")).unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())];
    let ended = run_with("", &["status"], &variables).await;
    std::fs::remove_dir_all(&directory).unwrap();
    ended.assert_refused(
        2,
        &[
            "cannot read the credential",
            "check LoadCredential= in the unit",
        ],
    );
}
