//! Columns of the site's that are called as something in our functions is: PostgreSQL would take one for the other.

use session_reaper::{
    demo::site,
    settings::{Policies, Settings},
};

use crate::stage::{Database, django, program::run, server, wait_until};

/// Parameters and variables of our functions, and columns of our tables.
const OURS: &str = r"
    select quote_ident(n.name)
    from (
        select unnest(p.proargnames) from pg_proc p where p.pronamespace = 'session_reaper'::regnamespace
        union
        select (regexp_matches(p.prosrc, '^ {4}([a-z_]+) (?:constant )?[a-z:]', 'gn'))[1]
        from pg_proc p
        where p.pronamespace = 'session_reaper'::regnamespace and p.prosrc like '%declare%'
        union
        select a.attname::text
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'session_reaper'::regnamespace and c.relkind in ('r', 'v') and a.attnum > 0
          and not a.attisdropped
    ) n (name)
    where n.name <> '' and n.name not in (
        select a.attname from pg_attribute a
        where a.attrelid in ('auth_user'::regclass, 'django_session'::regclass))";

/// A site whose tables have each of these names as a column.
async fn site() -> Database {
    let names: Vec<String> = {
        let rows = Database::create().await.query(OURS, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert!(names.len() > 150, "{}", names.len());
    for wanted in [
        "keys",
        "times",
        "reached",
        "user_id",
        "credential_version",
        "linked",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted}: {names:?}"
        );
    }
    let database = Database::create_bare(server()).await;
    let columns: Vec<String> = names
        .iter()
        .map(|name| format!("add column {name} text default 'not ours'"))
        .collect();
    for table in ["auth_user", "django_session"] {
        let add = format!("alter table {table} {}", columns.join(", "));
        database.batch_execute(&add).await.unwrap();
    }
    database
}

#[tokio::test]
async fn columns_that_are_called_as_something_of_ours_are_told_from_it() {
    let database = site().await;
    let users = database.users(4).await;
    let before = django::log_in(&database, users[0]).await;
    database.migrate().await;
    let settings = Settings {
        policy: Policies {
            sessions_max: Some(3),
            ..Policies::default()
        },
        ..Settings::default()
    };
    let _daemon = database.daemon_with(settings).await;
    database.sessions_backfilled().await;

    let linked = database.log_in(users[0], 2).await;
    let read = django::log_in(&database, users[0]).await;
    let others = database.log_in(users[1], 2).await;
    database.change_password(users[0]).await;
    database.settled().await;
    assert_eq!(database.count(&linked).await, 0);
    assert_eq!(database.count(&[before, read]).await, 0);
    assert_eq!(database.count(&others).await, 2);

    let many = database.log_in(users[2], 5).await;
    wait_until("the policy has ended two", || async {
        database.count(&many).await == 3
    })
    .await;
    let expired = site::abandon(&database.client, 20).await.unwrap();
    assert_eq!(
        (
            database.purge().await.sessions,
            database.count(&expired).await
        ),
        (20, 0)
    );
    let revoke = "select session_reaper.revoke_session(session_key) from django_session where session_key = $1";
    database.execute(revoke, &[&others[0]]).await.unwrap();
    wait_until("one is gone", || async {
        database.count(&others).await == 1
    })
    .await;
    let delete = "delete from auth_user where id = $1";
    database.execute(delete, &[&users[1]]).await.unwrap();
    wait_until("the user's last one is gone", || async {
        database.count(&others).await == 0
    })
    .await;
    database.settled().await;
}

/// Without a daemon each change ends sessions itself.
#[tokio::test]
async fn without_a_daemon_they_are_told_apart_as_well() {
    let database = site().await;
    database.migrate().await;
    let users = database.users(3).await;
    let theirs = database.log_in(users[0], 2).await;
    let unread = django::log_in(&database, users[1]).await;
    for arguments in [
        ["link", "--json"].as_slice(),
        &["status", "--json"],
        &["sessions", "--user", &users[0].to_string()],
        &["explain", &users[0].to_string()],
        &["history"],
        &["policies"],
    ] {
        let done = run(database.url(), arguments).await;
        assert!(
            !done.stderr.contains("ambiguous"),
            "{arguments:?}: {}",
            done.stderr
        );
    }
    let version = "select session_reaper.credential_version(id) from auth_user where id = $1";
    let version: String = database
        .query_one(version, &[&users[1]])
        .await
        .unwrap()
        .get(0);
    database.change_password(users[0]).await;
    database.change_password(users[1]).await;
    assert_eq!(database.count(&theirs).await, 0);
    assert_eq!(database.count(&[unread]).await, 0);
    let late = django::open(&database, "").await;
    let link = "select session_reaper.link_session($1::text::varchar, $2, $3)";
    database
        .execute(link, &[&late, &users[1], &version])
        .await
        .unwrap();
    assert_eq!(database.count(&[late]).await, 0);
    run(database.url(), &["pause"]).await.assert_done();
    let open = database.log_in(users[2], 2).await;
    database.change_password(users[2]).await;
    run(database.url(), &["resume"]).await.assert_done();
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&open).await, 0);
}
