//! Everything runs with the least rights: the app's role, the daemon's, and a third one that only changes passwords.

use session_reaper::{
    daemon::Daemon, demo::site, process::shutdown::Stop, schema, settings::Settings, status,
};
use tokio_postgres::{Client, error::SqlState};

use crate::{
    evict::cached::cached_site,
    stage::{Database, connect, log_in_as_app as log_in, program::run, server, target, wait_until},
};

/// A database that its owner has migrated for an app and a daemon that own nothing. Roles are of the whole
/// server, so each test has its own.
struct Roles {
    database: Database,
    settings: Settings,
    suffix: u32,
}

impl Roles {
    async fn create() -> Self {
        let database = Database::create_bare(server()).await;
        let suffix = fastrand::u32(..);
        let mut settings = Settings::default();
        settings.site.daemon_role = Some(format!("the daemon {suffix}"));
        settings.site.app_roles = vec![format!("app_{suffix}")];
        database
            .batch_execute(&format!(
                "create role \"the daemon {suffix}\" login;
                create role app_{suffix} login;
                create role admin_{suffix} login;
                grant select, insert, update, delete on auth_user, django_session to app_{suffix};
                grant usage on sequence auth_user_id_seq to app_{suffix};
                grant select (id), update (password) on auth_user to admin_{suffix}"
            ))
            .await
            .unwrap();
        schema::migrate(&database.target(), &settings.site)
            .await
            .unwrap();
        Self {
            database,
            settings,
            suffix,
        }
    }

    fn url(&self, role: &str) -> String {
        let user = format!("user={role}{}", self.suffix).replace(' ', "%20");
        self.database.url().replace("user=postgres", &user)
    }

    async fn app(&self) -> Client {
        connect(&self.url("app_")).await
    }
}

#[tokio::test]
async fn an_app_and_a_daemon_that_own_nothing_work_together() {
    let mut roles = Roles::create().await;
    roles.settings.purge.schedule = "* * * * * *".to_owned();
    let app = roles.app().await;
    let users = site::sign_up(&app, &["ann".to_owned(), "bob".to_owned()])
        .await
        .unwrap();
    let database = &roles.database;

    // Without a daemon: inside the app's own transaction.
    let inline = log_in(&app, &users).await;
    site::change_password(&app, users[0]).await.unwrap();
    assert_eq!(database.count(&inline).await, 1);

    let expired = site::abandon(&app, 10).await.unwrap();
    let _daemon = database
        .daemon_at(roles.settings.clone(), target(&roles.url("the daemon ")))
        .await;
    let sessions = log_in(&app, &users).await;
    site::change_password(&app, users[0]).await.unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 1);
    let linked =
        "select session_reaper.link_session($1, $2, session_reaper.credential_version($2))";
    let visitor = site::visit(&app, 1).await.unwrap();
    app.execute(linked, &[&visitor[0], &users[1]])
        .await
        .unwrap();

    // Somebody who may change passwords and has never heard of us.
    let admin = connect(&roles.url("admin_")).await;
    admin
        .execute(
            "update auth_user set password = 'x' where id = $1",
            &[&users[1]],
        )
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(
        database.count(&[sessions, visitor, inline].concat()).await,
        0
    );

    let sessions = log_in(&app, &users).await;
    app.execute("delete from auth_user where id = $1", &[&users[0]])
        .await
        .unwrap();
    app.execute("select session_reaper.revoke_user($1)", &[&users[1]])
        .await
        .unwrap();
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    wait_until("expired sessions are purged", || async {
        database.count(&expired).await == 0
    })
    .await;
    let daemon = connect(&roles.url("the daemon ")).await;
    assert!(status::read(&daemon, None).await.unwrap().served);
}

#[tokio::test]
async fn an_app_can_neither_read_the_keys_that_wait_nor_do_the_daemons_work() {
    let roles = Roles::create().await;
    let app = roles.app().await;
    for statement in [
        "select * from session_reaper.revoked_key",
        "update session_reaper.revocation set state = 'settled'",
        "delete from session_reaper.revocation",
        "update session_reaper.change set at = '-infinity'",
        "insert into session_reaper.user_session (session_key, user_id) values ('x', 1)",
        "update session_reaper.user_session set user_id = 1",
        "delete from session_reaper.user_session",
        "update session_reaper.purge set tick = 'infinity'",
    ] {
        let error = app.batch_execute(statement).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}: {error:?}"
        );
    }
    let allowed: Option<String> = app
        .query_one(
            "select string_agg(p.proname, ' ' order by p.proname)
             from pg_proc p
             where p.pronamespace = 'session_reaper'::regnamespace and has_function_privilege(p.oid, 'execute')",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(
        allowed.unwrap(),
        "credential_version is_served link_session revoke_all revoke_session revoke_session_of revoke_user"
    );
}

#[tokio::test]
async fn a_role_that_nothing_was_granted_to_is_told_what_to_do() {
    let roles = Roles::create().await;
    let nobody = target(&roles.url("admin_"));
    let daemon = Daemon::new(roles.settings.clone(), nobody, Stop::default());
    let refused = daemon.run().await.unwrap_err().to_string();
    assert!(refused.contains("site.daemon_role"), "{refused}");
}

/// As Django's `migrate` does. Refused, resume would leave the site paused, and so open.
#[tokio::test]
async fn a_pause_by_somebody_who_does_not_name_the_daemons_role_ends_and_leaves_it_its_rights() {
    let roles = Roles::create().await;
    let (database, plain) = (&roles.database, Settings::default().site);
    schema::pause(&database.target(), &plain).await.unwrap();
    schema::resume(&database.target(), &plain).await.unwrap();
    let daemon = target(&roles.url("the daemon "));
    let _daemon = database.daemon_at(roles.settings.clone(), daemon).await;
    let user = database.users(1).await[0];
    let sessions = log_in(&roles.app().await, &[user]).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn an_installation_that_would_take_the_apps_right_to_link_away_unasked_is_refused() {
    let roles = Roles::create().await;
    let (database, mut settings) = (&roles.database, roles.settings.site.clone());
    settings.app_roles.clear();
    let migrate = async || schema::migrate(&database.target(), &settings).await;
    let refused = migrate().await.unwrap_err().to_string();
    assert!(refused.contains("no site.app_roles"), "{refused}");
    let user = database.users(1).await[0];
    log_in(&roles.app().await, &[user]).await;
    let (_, revoke) = refused.rsplit_once("first say: ").unwrap();
    database.batch_execute(revoke).await.unwrap();
    migrate().await.unwrap();
}

#[tokio::test]
async fn a_pause_that_nobody_could_end_with_these_settings_is_refused() {
    let database = cached_site().await;
    let paused = schema::pause(&database.target(), &Settings::default().site).await;
    let refused = paused.unwrap_err().to_string();
    assert!(refused.contains("knows of a cache"), "{refused}");
    let pauses = "select count(*) from session_reaper.pause";
    assert_eq!(database.number(pauses).await, 0);
}

/// Users in a schema that the daemon may not enter are none of its business: functions of ours look there.
#[tokio::test]
async fn a_daemon_without_a_right_in_the_users_schema_works() {
    let mut roles = Roles::create().await;
    let database = &roles.database;
    schema::uninstall(&database.target()).await.unwrap();
    database
        .batch_execute("create schema accounts; alter table auth_user set schema accounts")
        .await
        .unwrap();
    roles.settings.site.user_table = "accounts.auth_user".to_owned();
    schema::migrate(&database.target(), &roles.settings.site)
        .await
        .unwrap();
    let _daemon = database
        .daemon_at(roles.settings.clone(), target(&roles.url("the daemon ")))
        .await;
    let user: i32 = database
        .query_one(
            "insert into accounts.auth_user
                 (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
             values ('old', false, 'ann', '', '', '', false, true, now())
             returning id",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let sessions = database.log_in(user, 2).await;
    database
        .execute(
            "select pg_notify('session_reaper', $1)",
            &[&user.to_string()],
        )
        .await
        .unwrap();
    wait_until("the sessions are gone", || async {
        database.count(&sessions).await == 0
    })
    .await;
}

/// The changing transaction's own sweep is the owner's, and works.
#[tokio::test]
async fn a_daemon_whose_sweeps_all_fail_does_not_count_as_serving_until_one_works_again() {
    let mut roles = Roles::create().await;
    roles.settings.listen.heartbeat_s = 1;
    roles.settings.listen.poll_interval_s = 1;
    let database = &roles.database;
    let role = format!("\"the daemon {}\"", roles.suffix);
    let users = database.users(3).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    let _daemon = database
        .daemon_at(roles.settings.clone(), target(&roles.url("the daemon ")))
        .await;

    let sweep = "execute on function
        session_reaper.revoke_due(integer, integer, boolean, boolean, boolean),
        session_reaper.revoke_claimed(bigint[], integer, boolean, boolean)";
    database
        .batch_execute(&format!("revoke {sweep} from {role}"))
        .await
        .unwrap();
    database.change_password(users[0]).await;
    database.served_by(0).await;
    assert_eq!(database.count(&sessions).await, 3, "it could end none");
    database.change_password(users[1]).await;
    assert_eq!(database.count(&sessions).await, 2, "ended inside (P4)");

    database
        .batch_execute(&format!("grant {sweep} to {role}"))
        .await
        .unwrap();
    database.served_by(1).await;
    database.change_password(users[2]).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_daemon_reads_of_a_session_what_it_has_to_and_nothing_more() {
    let roles = Roles::create().await;
    let database = &roles.database;
    schema::uninstall(&database.target()).await.unwrap();
    database
        .batch_execute("alter table django_session add ip text, add who integer")
        .await
        .unwrap();
    let readable = "select string_agg(a.attname, ' ' order by a.attnum)
        from pg_attribute a
        where a.attrelid = 'django_session'::regclass and a.attnum > 0
          and has_column_privilege($1::text::name, a.attrelid, a.attnum, 'select')";
    let daemon = format!("the daemon {}", roles.suffix);
    for (user_column, expected) in [
        (None, "session_key session_data expire_date"),
        (Some("who"), "session_key expire_date who"),
    ] {
        let mut settings = roles.settings.site.clone();
        if user_column.is_some() {
            (settings.data_column, settings.codec) = (None, None);
        }
        settings.user_column = user_column.map(str::to_owned);
        database
            .batch_execute(&format!("revoke all on django_session from \"{daemon}\""))
            .await
            .unwrap();
        schema::migrate(&database.target(), &settings)
            .await
            .unwrap();
        let readable: String = database
            .query_one(readable, &[&daemon])
            .await
            .unwrap()
            .get(0);
        assert_eq!(readable, expected);
    }
}

/// It would find every table by the defaults, and take away what the service stands on.
#[tokio::test]
async fn a_command_without_the_services_settings_takes_no_rights_away() {
    let roles = Roles::create().await;
    let ended = run(roles.database.url(), &["migrate"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("would lose them: give the settings of the service"),
        "{}",
        ended.stderr
    );
    let granted = format!(
        "select has_table_privilege('the daemon {}', 'session_reaper.revocation', 'update')::integer::bigint",
        roles.suffix
    );
    assert_eq!(roles.database.number(&granted).await, 1);
}

#[tokio::test]
async fn uninstall_is_the_owners_and_leaves_a_role_that_can_be_dropped() {
    let roles = Roles::create().await;
    let daemon = format!("the daemon {}", roles.suffix);
    run(&roles.url("the daemon "), &["uninstall", "--yes"])
        .await
        .assert_refused(1, &["does not own the schema session_reaper", "postgres"]);
    run(roles.database.url(), &["uninstall", "--yes"])
        .await
        .assert_done();
    roles
        .database
        .batch_execute(&format!("drop role \"{daemon}\""))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_named_with_its_setting_before_anything_is_done() {
    let database = Database::create_bare(server()).await;
    let mut settings = Settings::default();
    settings.site.app_roles = vec!["postgres".to_owned(), "nobody at all".to_owned()];
    let refused = schema::migrate(&database.target(), &settings.site).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("site.app_roles names the role nobody at all"),
        "{refused}"
    );
    let schema = "select count(*) from pg_namespace where nspname = 'session_reaper'";
    assert_eq!(database.number(schema).await, 0);
}
