//! What an operator looks at before and after an installation: settings in force, SQL to be run, what would go.

use crate::stage::program::{SettingsFile, run, run_with};
use crate::stage::{Database, server};

#[tokio::test]
async fn config_says_what_is_in_force_and_where_it_came_from_without_secrets() {
    let file = SettingsFile::new(
        "[revoke]\nbatch_rows = 500\n[cache]\nservers = ['redis://u:s3cret@h:6379/1']",
    );
    let arguments = ["config", "--config", file.path()];
    let variables = [("SESSION_REAPER_LISTEN_HEARTBEAT_S", "7")];
    let url = "postgresql://app:s3cret@db.example/shop";
    let ended = run_with(url, &arguments, &variables).await;
    let printed = ended.assert_done();
    let first = "# database shop on db.example port 5432 as app, named by DATABASE_URL\n";
    assert!(printed.starts_with(first), "{printed}");
    let line = |start: &str| {
        let found = printed.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {printed}"))
    };
    assert!(line("batch_rows = 500").ends_with("# file"));
    assert!(line("heartbeat_s = 7").ends_with("# SESSION_REAPER_LISTEN_HEARTBEAT_S"));
    assert!(line("user_table = \"auth_user\"").ends_with("# preset django"));
    assert!(line("settle_cap_s = 86400").ends_with("# default"));
    assert!(line("servers = ").contains("redis://…@h:6379/1"));
    assert!(!printed.contains("s3cret"), "{printed}");
}

#[tokio::test]
async fn config_prints_what_a_file_of_settings_may_say() {
    let ended = run("postgresql:///x", &["config"]).await;
    let file = SettingsFile::new(ended.assert_done());
    run("", &["config", "--check", file.path()])
        .await
        .assert_done();
    file.write("[revoke]\nbach_rows = 1");
    run("", &["config", "--check", file.path()])
        .await
        .assert_refused(2, &["line 2", "`batch_rows`"]);
}

#[tokio::test]
async fn a_command_by_hand_finds_the_connection_string_beside_the_settings() {
    let database = Database::create().await;
    let file = SettingsFile::new("");
    let beside = file.path().replace(".toml", ".database_url");
    std::fs::write(&beside, database.url()).unwrap();
    let ended = run("", &["status", "--config", file.path()]).await;
    std::fs::remove_file(&beside).unwrap();
    let start = format!("database   {} on ", database.name());
    assert!(
        ended.stdout.starts_with(&start),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

#[tokio::test]
async fn a_site_is_a_name_and_leads_nowhere_else() {
    let ended = run("", &["status", "--site", "../shadow"]).await;
    assert_eq!(ended.code, Some(2));
    run("", &["status", "--site", "no-such-site"])
        .await
        .assert_refused(2, &["/etc/session-reaper/no-such-site.toml"]);
}

#[tokio::test]
async fn migrate_prints_what_it_would_run_and_runs_nothing() {
    let database = Database::create_bare(server()).await;
    let printed = run(database.url(), &["migrate", "--print"]).await;
    let sql = printed.assert_done();
    assert!(sql.contains("-- a trigger on public.auth_user\n"), "{sql}");
    let there = "select to_regnamespace('session_reaper') is not null";
    assert!(
        !database
            .query_one(there, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    // It is what is run: by itself it makes the installation, and then nothing but bookkeeping is left.
    database.batch_execute(sql).await.unwrap();
    database
        .batch_execute("drop schema session_reaper cascade")
        .await
        .unwrap();

    database.migrate().await;
    let ended = run(database.url(), &["migrate", "--print"]).await;
    assert!(
        ended
            .assert_done()
            .starts_with("-- Nothing: everything is in place")
    );
}

#[tokio::test]
async fn uninstall_with_dry_run_says_what_would_go_and_takes_nothing() {
    let database = Database::create().await;
    let ended = run(database.url(), &["uninstall", "--dry-run"]).await;
    let found = ended.assert_done();
    for part in [
        "trigger    A_session_reaper_user_deleted on \"public\".\"auth_user\"",
        "table      session_reaper.revocation",
        "schema     session_reaper",
    ] {
        assert!(found.contains(part), "{part} is not in {found}");
    }
    let ended = run(database.url(), &["migrate", "--print"]).await;
    assert!(ended.assert_done().starts_with("-- Nothing"));
}

#[tokio::test]
async fn migrate_creates_a_role_that_may_log_in_and_nothing_else() {
    let database = Database::create_bare(server()).await;
    let name = format!("reaper {}", database.name());
    let file = SettingsFile::new(&format!("[site]\ndaemon_role = '{name}'"));
    let arguments = ["migrate", "--config", file.path(), "--create-role"];
    run(database.url(), &[&arguments[..], &["another"]].concat())
        .await
        .assert_refused(2, &["daemon_role = \"another\"", "[site]"]);

    let arguments = [&arguments[..], &[&name]].concat();
    run(database.url(), &arguments).await.assert_done();
    let row = database
        .query_one(
            "select rolcanlogin and not (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls),
                rolconnlimit, rolconfig::text
            from pg_roles where rolname = $1",
            &[&name],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i32>(1), 20);
    assert!(
        row.get::<_, String>(2)
            .contains("idle_in_transaction_session_timeout")
    );
    let again = run(database.url(), &arguments).await;
    assert!(again.assert_done().contains("stays as it is"));
}

#[tokio::test]
async fn an_owner_who_may_not_create_roles_is_told_what_to_have_run() {
    let database = Database::create_bare(server()).await;
    let owner = format!("owner_{}", database.name());
    let name = format!("reaper_{}", database.name());
    database
        .batch_execute(&format!("create role {owner} login"))
        .await
        .unwrap();
    let file = SettingsFile::new(&format!("[site]\ndaemon_role = '{name}'"));
    let url = database
        .url()
        .replace("user=postgres", &format!("user={owner}"));
    run(
        &url,
        &["migrate", "--config", file.path(), "--create-role", &name],
    )
    .await
    .assert_refused(
        1,
        &[
            "may not create roles",
            "CREATEROLE",
            &format!("create role \"{name}\" login"),
        ],
    );
}
