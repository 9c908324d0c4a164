//! Sites whose sessions are not Django's: the canary fills what a session cannot be without.

use session_reaper::settings::Settings;

use super::{fails, settings, succeeds};
use crate::stage::{Database, server};

/// A user in a column of its own, a key of another type, and columns that nothing is known about.
const TABLES: &str = r#"
    create type kind as enum ('web', 'phone');
    create table "The Users" ("Id" uuid primary key default gen_random_uuid(), password text);
    create table "Sessions" (
        "Key" bytea primary key,
        owner uuid not null references "The Users",
        token varchar(20) not null unique,
        address inet not null,
        kind kind not null,
        hits integer not null,
        is_admin boolean not null,
        tags text[] not null,
        facts jsonb not null,
        opened timestamp not null,
        note text,
        used integer not null,
        twice integer not null generated always as (hits * 2) stored
    )"#;

async fn site(tables: &str) -> (Database, Settings) {
    let database = Database::create_empty(server()).await;
    database.batch_execute(tables).await.unwrap();
    let insert = r#"insert into "The Users" (password) values ('x') returning "Id"::text"#;
    let user: String = database.query_one(insert, &[]).await.unwrap().get(0);
    let mut settings = settings(Some(&user));
    settings.site = toml::from_str(
        "preset = \"none\"\nuser_table = \"The Users\"\npassword_column = \"password\"\nsession_table = \"Sessions\"\nsession_key = \"Key\"\nuser_column = \"owner\"\nexpires_column = \"used\"\nexpires_unit = \"epoch_s\"\nlifetime_s = 7200",
    )
    .unwrap();
    settings.site.canary_user = Some(user);
    database.migrate_with(&settings).await;
    (database, settings)
}

#[tokio::test]
async fn columns_that_a_session_cannot_be_without_are_filled() {
    let (database, settings) = site(TABLES).await;
    let _daemon = database.daemon_with(settings).await;
    succeeds(&database).await;
    let ended = "select count(*) from session_reaper.revocation where reason = 'canary' and sessions_ended = 1";
    assert!(database.number(ended).await > 0);
}

#[tokio::test]
async fn one_that_it_cannot_fill_is_said_by_its_sqlstate() {
    let tables = TABLES.replace("note text", "note int4range not null");
    let (database, settings) = site(&tables).await;
    let _daemon = database.daemon_with(settings).await;
    fails(&database, "session").await;
    let state = "select count(*) from session_reaper.canary where failed_sqlstate = '23502'";
    assert_eq!(database.number(state).await, 1);
}
