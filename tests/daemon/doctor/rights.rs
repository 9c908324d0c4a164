//! Roles, rights and connections that keep it from working.

use super::{ailments, examine, named};
use crate::stage::{
    Database,
    program::{run, run_with},
    server,
};

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

/// What a connection itself brings along, as libpq's options, what it is called, and how bad it is.
pub(super) const ON_A_CONNECTION: &[(&str, &str, &str)] = &[
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
