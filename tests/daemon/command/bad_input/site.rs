//! A site that is not as the settings say.

use crate::stage::{
    Database,
    program::{Ended, run, run_with},
    server,
};

async fn migrate(database: &Database, setting: &str, value: &str) -> Ended {
    let variable = format!("SESSION_REAPER_SITE_{setting}");
    run_with(database.url(), &["migrate"], &[(&variable, value)]).await
}

#[tokio::test]
async fn a_missing_table_is_named_with_the_nearest_one_that_exists() {
    let database = Database::create_bare(server()).await;
    migrate(&database, "USER_TABLE", "auth_users")
        .await
        .assert_refused(1, &["site.user_table names the table auth_users, which does not exist: did you mean auth_user?"]);
    migrate(&database, "SESSION_TABLE", "django_sesion")
        .await
        .assert_refused(1, &["site.session_table", "did you mean django_session?"]);
    migrate(&database, "SESSION_TABLE", "xyz")
        .await
        .assert_refused(1, &["xyz, which does not exist: set its name, with its schema if it is not in the search_path"]);
}

#[tokio::test]
async fn what_is_no_table_is_called_what_it_is_with_what_to_do() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute(
            "create view people as select * from auth_user;
            create materialized view crowd as select * from auth_user;
            create foreign data wrapper elsewhere;
            create server elsewhere foreign data wrapper elsewhere;
            create foreign table strangers (id integer, password text) server elsewhere",
        )
        .await
        .unwrap();
    for (name, is) in [
        ("people", "is a view, and only a table can"),
        ("public.crowd", "is a materialized view"),
    ] {
        let from = "set the table that its rows come from, public.auth_user";
        migrate(&database, "USER_TABLE", name)
            .await
            .assert_refused(1, &["site.user_table names public.", is, from]);
    }
    migrate(&database, "USER_TABLE", "strangers")
        .await
        .assert_refused(
            1,
            &["is a foreign table", "in another database, so install"],
        );
    migrate(&database, "SESSION_TABLE", "auth_user_pkey")
        .await
        .assert_refused(1, &["is no table", "set the name of a table"]);
}

/// PostgreSQL leaves such an index behind, and nothing can refer to what it is on.
#[tokio::test]
async fn a_unique_index_that_could_not_be_finished_is_refused_before_anything_is_begun() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute(
            "alter table django_session drop constraint django_session_pkey;
            insert into django_session select 'twice', '', now() from generate_series(1, 2)",
        )
        .await
        .unwrap();
    let failed = "create unique index concurrently one_key on django_session (session_key)";
    database.batch_execute(failed).await.unwrap_err();
    let ended = run(database.url(), &["migrate"]).await;
    ended.assert_refused(
        1,
        &[
            "a unique index, one_key, that PostgreSQL could not finish",
            "create unique index concurrently on \"public\".\"django_session\"",
        ],
    );
    let schemas = "select count(*) from pg_namespace where nspname = 'session_reaper'";
    assert_eq!(database.number(schemas).await, 0, "nothing was begun");

    let (_, drop) = ended.stderr.split_once("drop it with: ").unwrap();
    let (drop, create) = drop.split_once("; mend the rows; ").unwrap();
    database.batch_execute(drop).await.unwrap();
    database
        .batch_execute("delete from django_session")
        .await
        .unwrap();
    let (_, create) = create.trim().split_once("with: ").unwrap();
    database.batch_execute(create).await.unwrap();
    run(database.url(), &["migrate"]).await.assert_done();
}

#[tokio::test]
async fn a_database_without_a_site_is_told_from_a_misspelt_one() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute("drop table auth_user, django_session")
        .await
        .unwrap();
    run(database.url(), &["migrate"]).await.assert_refused(
        1,
        &["site.session_table names the table django_session, which does not exist: set its name"],
    );
    let schemas = "select count(*) from pg_namespace where nspname = 'session_reaper'";
    assert_eq!(database.number(schemas).await, 0, "nothing was begun");
}

#[tokio::test]
async fn a_missing_column_is_named_with_the_nearest_one_that_exists() {
    let database = Database::create_bare(server()).await;
    for (setting, value, nearest) in [
        (
            "PASSWORD_COLUMN",
            "pasword",
            "public.auth_user does not have: did you mean password?",
        ),
        (
            "SESSION_KEY",
            "sesion_key",
            "public.django_session does not have: did you mean session_key?",
        ),
        (
            "EXPIRES_COLUMN",
            "expire",
            "public.django_session does not have: did you mean expire_date?",
        ),
        ("USER_KEY", "userid", "public.auth_user does not have"),
    ] {
        let column = format!("names the column {value}");
        migrate(&database, setting, value)
            .await
            .assert_refused(1, &[&column, nearest]);
    }
    database
        .batch_execute("alter table auth_user rename password to hash_of_it")
        .await
        .unwrap();
    run(database.url(), &["migrate"]).await.assert_refused(
        1,
        &[
            "site.password_column names the column password",
            "set the name of an existing column",
        ],
    );
}

#[tokio::test]
async fn a_session_key_that_is_not_unique_comes_with_the_statement_that_makes_it_so() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute("alter table django_session drop constraint django_session_pkey")
        .await
        .unwrap();
    let ended = run(database.url(), &["migrate"]).await;
    ended.assert_refused(
        1,
        &["public.django_session.session_key has no unique index"],
    );
    let (_, statement) = ended.stderr.trim().split_once("create one with: ").unwrap();
    database.batch_execute(statement).await.unwrap();
    run(database.url(), &["migrate"]).await.assert_done();
}

#[tokio::test]
async fn where_the_user_is_is_looked_up_like_everything_else() {
    let database = Database::create_bare(server()).await;
    migrate(&database, "USER_COLUMN", "sesion_key")
        .await
        .assert_refused(
            1,
            &[
                "site.user_column names the column sesion_key",
                "did you mean session_key?",
            ],
        );
    migrate(&database, "DATA_COLUMN", "sesion_data")
        .await
        .assert_refused(
            1,
            &[
                "site.data_column names the column sesion_data",
                "did you mean session_data?",
            ],
        );
    migrate(&database, "USER_PATH", "id").await.assert_refused(
        1,
        &["public.django_session.session_data is of type text: site.data_column has to be json or jsonb"],
    );
    migrate(&database, "DATA_COLUMN", "expire_date").await.assert_refused(
        1,
        &["public.django_session.expire_date is of type timestamp with time zone: site.data_column has to be text or bytea"],
    );
    for (setting, value, says) in [
        ("PRESET", "djanog", "the nearest one is django"),
        (
            "CODEC",
            "s3cret",
            "the variable SESSION_REAPER_SITE_CODEC is wrong: it has to be one of `django`",
        ),
        ("EXPIRES_UNIT", "s", "it has to be `epoch_s` or `epoch_ms`"),
    ] {
        let ended = migrate(&database, setting, value).await;
        ended.assert_refused(2, &[says]);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
}

/// Names are looked up and quoted, and none is run.
#[tokio::test]
async fn hostile_names_are_names_that_do_not_exist() {
    let database = Database::create_bare(server()).await;
    let long = "x".repeat(200);
    for name in [
        "session_key\"; drop table auth_user; --",
        "session_key'; drop table auth_user; --",
        "public.django_session.session_key",
        "SESSION_KEY",
        "select",
        "ctid",
        "$$",
        ":session_key",
        "schlüssel\u{202e}",
        &long,
    ] {
        for setting in ["USER_COLUMN", "DATA_COLUMN", "EXPIRES_COLUMN", "USER_KEY"] {
            let told = format!("names the column {name}");
            migrate(&database, setting, name)
                .await
                .assert_refused(1, &[&told]);
        }
    }
    run(database.url(), &["migrate"]).await.assert_done();
}

#[tokio::test]
async fn migrate_says_when_sessions_expire() {
    let database = Database::create_bare(server()).await;
    let told = run(database.url(), &["migrate"]).await;
    assert!(
        told.assert_done()
            .contains("expiry     sessions expire at \"expire_date\"\n")
    );
    let told = migrate(&database, "LIFETIME_S", "60").await;
    assert!(
        told.assert_done()
            .contains("sessions expire 60 s after \"expire_date\"\n")
    );
}

#[tokio::test]
async fn a_table_without_a_primary_key_asks_for_the_setting() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute("alter table auth_user drop constraint auth_user_pkey cascade")
        .await
        .unwrap();
    run(database.url(), &["migrate"]).await.assert_refused(
        1,
        &["public.auth_user has no primary key", "set site.user_key"],
    );
}

#[tokio::test]
async fn a_role_that_may_not_install_is_told_before_anything_is_begun() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute(
            "do $$ begin create role visitor login; exception when duplicate_object then null; end $$;
            revoke create on schema public from public",
        )
        .await
        .unwrap();
    let url = database.url().replace("user=postgres", "user=visitor");
    run(&url, &["migrate"]).await.assert_refused(
        1,
        &[
            "the role visitor does not own public.auth_user",
            "as postgres, or as a role that is a member of it",
        ],
    );

    database
        .batch_execute(
            "alter table auth_user owner to visitor; alter table django_session owner to visitor",
        )
        .await
        .unwrap();
    run(&url, &["migrate"]).await.assert_refused(
        1,
        &[
            "the role visitor may not create the schema session_reaper",
            "grant create on database",
        ],
    );
    let schemas = "select count(*) from pg_namespace where nspname = 'session_reaper'";
    assert_eq!(database.number(schemas).await, 0, "nothing was begun");
}
