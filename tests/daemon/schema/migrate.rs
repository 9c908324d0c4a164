//! Installing on a live site: again, many at once, from every version, against locks, and out again.

use session_reaper::{demo::site, schema, settings::Settings};

use crate::stage::{Database, server, start_server, wait_until};

async fn migrate(database: &Database) -> schema::Installed {
    schema::migrate(&database.target(), &Settings::default().site)
        .await
        .unwrap()
}

fn did_nothing(installed: &schema::Installed) -> bool {
    installed.migrations.is_empty()
        && installed.behaviour.is_empty()
        && installed.triggers.is_empty()
}

/// A change ends what it should: the shape, the functions and the triggers fit together.
async fn it_works(database: &Database) {
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn migrating_twice_does_nothing_the_second_time() {
    let database = Database::create_bare(server()).await;
    let first = migrate(&database).await;
    assert_eq!(
        first.migrations.len(),
        usize::try_from(schema::newest_version()).unwrap()
    );
    assert!(!first.behaviour.is_empty() && !first.triggers.is_empty());
    let second = migrate(&database).await;
    assert!(did_nothing(&second), "{second:?}");
}

#[tokio::test]
async fn twenty_that_migrate_at_once_all_succeed_and_one_of_them_does_it() {
    let database = Database::create_bare(server()).await;
    let target = database.target();
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let target = target.clone();
        starting.spawn(async move { schema::migrate(&target, &Settings::default().site).await });
    }
    let done = starting.join_all().await;
    let busy = done
        .iter()
        .filter(|installed| !did_nothing(installed.as_ref().unwrap()));
    assert_eq!(busy.count(), 1);
    it_works(&database).await;
}

#[tokio::test]
async fn every_earlier_version_leads_to_the_newest() {
    for version in 1..schema::newest_version() {
        let database = Database::create_bare(server()).await;
        let (target, site) = (database.target(), Settings::default().site);
        schema::migrate_to(&target, &site, version).await.unwrap();
        let refused = schema::check(&database.client, &site).await.unwrap_err();
        assert!(
            refused.to_string().contains("run `session-reaper migrate`"),
            "{refused}"
        );
        let installed = migrate(&database).await;
        let missing = schema::newest_version() - version;
        assert_eq!(
            installed.migrations.len(),
            usize::try_from(missing).unwrap()
        );
        it_works(&database).await;
    }
}

/// While a long transaction keeps the migration off a table, the app's own writes get through: each has less time
/// than the migration would wait for the lock if it waited in the ordinary way.
#[tokio::test]
async fn while_a_table_is_locked_the_migration_tries_again_and_the_app_does_not_queue_behind_it() {
    for (table, write) in [
        (
            "auth_user",
            "update auth_user set last_login = now() where id = $1::int",
        ),
        (
            "django_session",
            "delete from django_session where session_key = $1::int::text",
        ),
    ] {
        let database = Database::create_bare(server()).await;
        let user = database.users(1).await[0];
        let mut holder = database.connect().await;
        let long = holder.transaction().await.unwrap();
        long.batch_execute(&format!("lock table {table} in row exclusive mode"))
            .await
            .unwrap();
        let target = database.target();
        let migrating =
            tokio::spawn(async move { schema::migrate(&target, &Settings::default().site).await });
        wait_until("the migration has waited for a lock", || async {
            database
                .number("select count(*) from pg_locks where not granted and relation is not null")
                .await
                > 0
        })
        .await;
        database
            .batch_execute("set statement_timeout = '700ms'")
            .await
            .unwrap();
        for _ in 0..150 {
            database.execute(write, &[&user]).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(!migrating.is_finished());
        long.commit().await.unwrap();
        migrating.await.unwrap().unwrap();
        it_works(&database).await;
    }
}

/// An autovacuum gives way only to somebody who has waited for longer than `deadlock_timeout`.
#[tokio::test]
async fn an_autovacuum_that_takes_hours_does_not_keep_the_migration_out() {
    let server = start_server(&[
        "autovacuum_naptime = 1s",
        "autovacuum_vacuum_cost_limit = 1",
        "autovacuum_vacuum_cost_delay = 100ms",
        "log_autovacuum_min_duration = 0",
    ]);
    let database = Database::create_bare(&server).await;
    database
        .batch_execute(
            "insert into django_session select i, repeat('x', 500), now() from generate_series(1, 20000) i;
            delete from django_session",
        )
        .await
        .unwrap();
    wait_until("an autovacuum holds the table", || async {
        database
            .number(
                "select count(*) from pg_stat_activity
                 where backend_type = 'autovacuum worker' and query like '%django_session%'",
            )
            .await
            > 0
    })
    .await;
    migrate(&database).await;
    assert!(
        server.log().contains("canceling autovacuum task"),
        "{}",
        server.log()
    );
    it_works(&database).await;
}

#[tokio::test]
async fn a_trigger_that_was_dropped_or_disabled_by_hand_is_missed_at_the_start_and_put_back() {
    let database = Database::create().await;
    let site = Settings::default().site;
    for harm in harms(&database).await {
        database.batch_execute(&harm).await.unwrap();
        let refused = schema::check(&database.client, &site).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("is missing, disabled or not ours"),
            "{refused}"
        );
        let installed = migrate(&database).await;
        assert_eq!(installed.triggers.len(), 1, "{harm}");
        it_works(&database).await;
    }
}

/// What a person can do to each of our triggers.
async fn harms(database: &Database) -> Vec<String> {
    let rows = database
        .query(
            "select format(harm, t.tgname, t.tgrelid::regclass)
             from pg_trigger t, (values ('drop trigger %I on %s'), ('alter table %2$s disable trigger %1$I')) h (harm)
             where t.tgname like '%session_reaper%' and not t.tgisinternal",
            &[],
        )
        .await
        .unwrap();
    assert!(rows.len() >= 4);
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn functions_of_another_release_are_replaced_by_those_of_this_one() {
    let database = Database::create().await;
    database
        .batch_execute(
            "create or replace function session_reaper.is_served() returns boolean language sql as 'select true';
            update session_reaper.behaviour set digest = 'of another release' where name = 'serving'",
        )
        .await
        .unwrap();
    let installed = migrate(&database).await;
    assert_eq!(installed.behaviour, ["serving"]);
    let served = database
        .query_one("select session_reaper.is_served()", &[])
        .await
        .unwrap();
    assert!(!served.get::<_, bool>(0));
}

#[tokio::test]
async fn what_was_uninstalled_leaves_the_site_as_it_was_and_can_be_installed_again() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    schema::uninstall(&database.target()).await.unwrap();
    let ours = "select count(*) from pg_trigger t where t.tgname like '%session_reaper%'";
    assert_eq!(database.number(ours).await, 0);
    database.change_password(user).await;
    assert_eq!(database.count(&sessions).await, 2);

    migrate(&database).await;
    it_works(&database).await;
    assert_eq!(database.count(&sessions).await, 2);
    site::change_password(&database.client, user).await.unwrap();
}
