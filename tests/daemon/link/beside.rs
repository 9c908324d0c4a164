//! Links that are built beside their table and put in its place: the same as page by page would make, whatever the site
//! does meanwhile, or none.

use session_reaper::{
    link::bulk::{self, Obstacle},
    process::shutdown::Stop,
    schema,
    settings::{Settings, Site},
};
use tokio_postgres::Client;

use crate::stage::{
    Database, Running,
    django::{data, data_of, exists, links, log_in, open, save},
    program::run,
    server, wait_until,
};

/// A site that has just installed session-reaper: users with so many sessions each, and visitors.
struct Before {
    database: Database,
    users: Vec<i32>,
    sessions: Vec<Vec<String>>,
}

impl Before {
    async fn install(users: usize, sessions: usize) -> Self {
        let database = Database::create_bare(server()).await;
        let users = database.users(users).await;
        let mut opened = Vec::new();
        for user in &users {
            let mut keys = Vec::new();
            for _ in 0..sessions {
                keys.push(open(&database, &data_of(*user)).await);
            }
            opened.push(keys);
        }
        open(&database, &data(r#"{"cart":[1]}"#)).await;
        open(&database, "not base64 at all").await;
        database.batch_execute("analyze").await.unwrap();
        database.migrate().await;
        Self {
            database,
            users,
            sessions: opened,
        }
    }
}

async fn try_to_build(database: &Database) -> Result<Result<(), Obstacle>, schema::Error> {
    let client = database.connect().await;
    let site = schema::check(&client, &Site::default()).await.unwrap();
    let target = database.target();
    bulk::build(&target, &site, 1, &Stop::default(), |_| ()).await
}

async fn build(database: &Database) -> bool {
    try_to_build(database).await.unwrap().is_ok()
}

/// Builds, and does something else while that waits for a lock which somebody else holds: on one of the site's tables,
/// when the links have been found and no foreign key is there, or on the links themselves, when all else is done.
async fn build_and_meanwhile(database: &Database, held: &str, meanwhile: impl Future<Output = ()>) {
    let holder = database.connect().await;
    holder
        .batch_execute(&format!("begin; lock table {held}"))
        .await
        .unwrap();
    let references = if held.contains("user_session") { 2 } else { 0 };
    let meddle = async {
        wait_until("it waits", || async {
            let indexes = "select count(*) from pg_indexes where tablename = 'user_session_built'";
            let valid = "select count(*) from pg_constraint
                where conrelid = to_regclass('session_reaper.user_session_built') and contype = 'f' and convalidated";
            database.number(indexes).await == 3 && database.number(valid).await == references
        })
        .await;
        meanwhile.await;
        holder.batch_execute("commit").await.unwrap();
    };
    let (built, ()) = tokio::join!(build(database), meddle);
    assert!(built);
}

const NO_FOREIGN_KEY_YET: &str = "django_session in row exclusive mode";
const ALL_BUT_IN_ITS_PLACE: &str = "session_reaper.user_session in access share mode";

async fn read_the_rest(database: &Database) -> String {
    let ended = run(database.url(), &["link"]).await;
    // Something cannot be read, which it says.
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

/// Everything of each link but when it was made.
async fn all_links(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "select concat_ws(' ', session_key, user_id, xid, begun_at, snapshot, credential_version, from_data)
             from session_reaper.user_session order by session_key",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn text(client: &Client, statement: &str) -> String {
    let row = client.query_one(statement, &[]).await.unwrap();
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

/// What there is of it beside its rows.
async fn shape(client: &Client) -> String {
    text(
        client,
        "with t as (select 'session_reaper.user_session'::regclass as oid)
         select string_agg(what, E'\n' order by what) from (
            select pg_get_indexdef(i.indexrelid) from pg_index i, t where i.indrelid = t.oid
            union all
            select c.conname || ' ' || pg_get_constraintdef(c.oid) || c.convalidated from pg_constraint c, t where c.conrelid = t.oid
            union all
            select pg_get_triggerdef(g.oid) from pg_trigger g, t where g.tgrelid = t.oid and not g.tgisinternal
            union all
            select concat_ws(' ', a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum), a.attacl)
            from t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0
            left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            union all
            select concat_ws(' ', c.relowner, c.relpersistence, c.reloptions, c.relacl, obj_description(c.oid))
            from pg_class c, t where c.oid = t.oid
            union all
            select concat_ws(' ', relacl, reloptions, pg_get_viewdef(oid), obj_description(oid))
            from pg_class where oid = 'session_reaper.live_session'::regclass
            union all
            select concat_ws(' ', c.relname, c.relkind) from pg_class c where relnamespace = 'session_reaper'::regnamespace
         ) s (what)",
    )
    .await
}

#[tokio::test]
async fn sessions_linked_beside_the_table_are_as_old_as_those_of_a_page_and_counted_once() {
    let before = Before::install(3, 10).await;
    let database = &before.database;
    assert!(build(database).await);
    let built = all_links(database).await;
    assert_eq!(built.len(), 30);
    let said = read_the_rest(database).await;
    assert!(
        said.starts_with("every session has been read, 32 in all"),
        "{said}"
    );
    assert_eq!(all_links(database).await, built);
    let unreadable = "select sum(writes)::bigint from session_reaper.unreadable";
    assert_eq!(database.number(unreadable).await, 1);

    database
        .batch_execute("delete from session_reaper.user_session; select session_reaper.backfill_again('asked for')")
        .await
        .unwrap();
    read_the_rest(database).await;
    assert_eq!(all_links(database).await, built);
}

#[tokio::test]
async fn a_table_that_was_put_in_its_place_is_as_migrate_makes_it_and_nothing_is_left_over() {
    let before = Before::install(2, 10).await;
    let database = &before.database;
    let (app, stranger) = (
        format!("app_{}", fastrand::u32(..)),
        format!("stranger_{}", fastrand::u32(..)),
    );
    let settings = Site {
        app_roles: vec![app.clone()],
        ..Site::default()
    };
    database
        .batch_execute(&format!("create role {app}; create role {stranger}"))
        .await
        .unwrap();
    schema::migrate(&database.target(), &settings)
        .await
        .unwrap();
    database
        .batch_execute(&format!(
            "grant select (user_id) on session_reaper.user_session to public;
            grant delete on session_reaper.user_session to {app} with grant option;
            grant select on session_reaper.live_session to {stranger};
            alter table session_reaper.user_session set (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 90);
            create index of_the_site on session_reaper.user_session (user_id, linked_at) where from_data;
            alter default privileges in schema session_reaper grant select on tables to {stranger}"
        ))
        .await
        .unwrap();
    let shape_before = shape(database).await;
    let oid = "select 'session_reaper.user_session'::regclass::oid::bigint";
    let oid_before = database.number(oid).await;
    assert!(build(database).await);
    assert_ne!(database.number(oid).await, oid_before);
    assert_eq!(shape(database).await, shape_before);
    database
        .batch_execute("drop index session_reaper.of_the_site")
        .await
        .unwrap();
    let client = database.connect().await;
    assert!(schema::faults(&client, &settings).await.unwrap().is_empty());
    let again = schema::migrate(&database.target(), &settings)
        .await
        .unwrap();
    assert!(
        again.references.is_empty() && again.behaviour.is_empty() && again.triggers.is_empty(),
        "{again:?}"
    );
    assert_eq!(
        database
            .number("select count(*) from session_reaper.live_session")
            .await,
        20
    );
}

/// It holds bearer credentials, and the site may have given whatever is created to others (P7).
#[tokio::test]
async fn nobody_may_look_at_links_that_are_being_built() {
    let before = Before::install(2, 10).await;
    let database = &before.database;
    let stranger = format!("stranger_{}", fastrand::u32(..));
    database
        .batch_execute(&format!(
            "create role {stranger}; alter default privileges in schema session_reaper grant select on tables to {stranger}"
        ))
        .await
        .unwrap();
    build_and_meanwhile(database, NO_FOREIGN_KEY_YET, async {
        let may = format!("select has_table_privilege('{stranger}', 'session_reaper.user_session_built', 'select')::int::bigint");
        assert_eq!(database.number(&may).await, 0);
        assert_eq!(database.number("select count(*) from session_reaper.user_session_built").await, 20);
    })
    .await;
}

/// What the site does while it is built: saves, hands over, leaves, deletes, opens.
async fn everything_is_right_that_happened_while(held: &str) {
    let before = Before::install(4, 6).await;
    let (database, users) = (&before.database, &before.users);
    let [first, second, gone, other] = &before.sessions[..] else {
        panic!("four users");
    };
    let (ann, bob) = (users[0], users[1]);
    let mut new = Vec::new();
    build_and_meanwhile(database, held, async {
        // Moves the row and is not noted.
        let save_expiry = "update django_session set expire_date = now() + interval '20 days' where session_key = $1";
        database.execute(save_expiry, &[&first[0]]).await.unwrap();
        save(database, &first[1], &data_of(ann)).await;
        save(database, &first[2], &data_of(bob)).await;
        save(database, &first[3], &data(r#"{"cart":[2]}"#)).await;
        let delete = "delete from django_session where session_key = $1";
        database.execute(delete, &[&first[4]]).await.unwrap();
        let delete = "delete from auth_user where id = $1";
        database.execute(delete, &[&users[2]]).await.unwrap();
        // Another login under the same key, after a change that it is younger than.
        let delete = "delete from django_session where session_key = $1";
        database.execute(delete, &[&second[0]]).await.unwrap();
        database.change_password(bob).await;
        let again = "insert into django_session values ($1, $2, now() + interval '1 day')";
        database.execute(again, &[&second[0], &data_of(bob)]).await.unwrap();
        new.push(log_in(database, ann).await);
    })
    .await;
    read_the_rest(database).await;
    let owners = "select l.user_id::bigint * 1000 + count(*) from session_reaper.user_session l where user_id = ";
    let linked = |user: i32| format!("{owners}{user} group by user_id");
    assert_eq!(
        database.number(&linked(ann)).await,
        i64::from(ann) * 1000 + 4,
        "first 0, 1, 5 and the new one"
    );

    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(
        exists(database, &second[0]).await,
        "younger than the change"
    );
    assert_eq!(database.count(&second[1..]).await, 0);
    assert!(
        !exists(database, &first[2]).await,
        "bob's now, and nobody knows since when"
    );
    assert_eq!(database.count(gone).await, 0, "their user was deleted");
    assert_eq!(database.count(other).await, 6);

    database.change_password(ann).await;
    database.settled().await;
    let left = [first.clone(), new].concat();
    assert_eq!(database.count(&left).await, 1);
    assert!(exists(database, &first[3]).await, "nobody's");
}

#[tokio::test]
async fn what_the_site_does_while_links_are_being_found_is_right_afterwards() {
    everything_is_right_that_happened_while(NO_FOREIGN_KEY_YET).await;
}

#[tokio::test]
async fn what_the_site_does_before_they_are_put_in_their_place_is_right_afterwards() {
    everything_is_right_that_happened_while(ALL_BUT_IN_ITS_PLACE).await;
}

/// A revoker that reads pages so slowly that it is never through.
async fn daemon_that_reads_nothing(database: &Database) -> Running {
    let mut settings = Settings::default();
    settings.link.batch_rows = 1;
    settings.link.pause_ratio = 1000.0;
    database.daemon_with(settings).await
}

#[tokio::test]
async fn a_daemon_goes_on_revoking_while_links_are_built_and_after_they_are_in_their_place() {
    let before = Before::install(3, 20).await;
    let (database, users) = (&before.database, &before.users);
    let _daemon = daemon_that_reads_nothing(database).await;
    let app = database.connect().await;
    let link = app
        .prepare("insert into session_reaper.user_session (session_key, user_id) values ($1, $2)")
        .await
        .unwrap();
    let linked = database.log_in(users[0], 1).await;
    let kept = database.log_in(users[1], 1).await;
    // On every connection of the daemon's pool, and of this one, functions are planned over the old table.
    database.change_password(users[0]).await;
    wait_until("it revokes", async || database.count(&linked).await == 0).await;

    let left = &before.sessions[1][0];
    build_and_meanwhile(database, ALL_BUT_IN_ITS_PLACE, async {
        // Were that read now, nothing would say afterwards that he has left.
        save(database, left, &data(r#"{"cart":[2]}"#)).await;
        let linked = database.log_in(users[0], 1).await;
        database.change_password(users[0]).await;
        wait_until("it revokes meanwhile", async || {
            database.count(&linked).await == 0
        })
        .await;
        let left = database.count(&before.sessions[0]).await;
        assert!(left >= 18, "a page or two it may have read: {left}");
        assert_eq!(database.open_revocations().await, 2);
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    })
    .await;

    let key = open(database, &data("{}")).await;
    app.execute(&link, &[&key, &users[2]]).await.unwrap();
    wait_until("those that were built end", async || {
        database.count(&before.sessions[0]).await == 0
    })
    .await;
    database.change_password(users[2]).await;
    wait_until("it revokes afterwards", async || {
        database.count(&before.sessions[2]).await == 0 && !exists(database, &key).await
    })
    .await;
    read_the_rest(database).await;
    database.settled().await;
    assert_eq!(database.count(&before.sessions[1]).await, 20);
    assert_eq!(database.count(&kept).await, 1);
    database.change_password(users[1]).await;
    database.settled().await;
    assert_eq!(database.count(&before.sessions[1]).await, 1);
    assert!(exists(database, left).await, "nobody's");
}

/// A save that changes nothing but the expiry moves the row, and is noted nowhere. Read in two places, the key would be in
/// the server's log as that of a duplicate (P7).
#[tokio::test]
async fn sessions_that_move_all_the_time_are_linked_once() {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0];
    // Two fill a block, and in half of the blocks there is room.
    database
        .batch_execute("alter table django_session alter session_data set storage plain")
        .await
        .unwrap();
    let fill = "insert into django_session
        select md5(n::text), $1, now() + interval '1 day' from generate_series(1, 4000) n";
    let large = data(&format!(
        r#"{{"_auth_user_id":"{user}","cart":"{}"}}"#,
        "x".repeat(2500)
    ));
    database.execute(fill, &[&large]).await.unwrap();
    database
        .batch_execute("delete from django_session where session_key in (select md5(n::text) from generate_series(2001, 3999) n)")
        .await
        .unwrap();
    database
        .batch_execute("vacuum analyze django_session")
        .await
        .unwrap();
    database.migrate().await;
    let is_built = std::cell::Cell::new(false);
    let some = "update django_session set expire_date = expire_date + interval '1 second'
        where session_key = any (array(select md5(ceil(random() * 2000)::text) from generate_series(1, 30)))";
    let movers = futures_util::future::join_all((0..4).map(|_| async {
        let mover = database.connect().await;
        while !is_built.get() {
            // Two of them may meet in another order, and be a deadlock's victims.
            let _ = mover.batch_execute(some).await;
        }
    }));
    let build_it = async {
        let mut built = try_to_build(&database).await;
        // These movers leave hardly a moment for the lock that a foreign key needs.
        for _ in 0..5 {
            if matches!(built, Err(schema::Error::Busy { .. })) {
                built = try_to_build(&database).await;
            }
        }
        is_built.set(true);
        built
    };
    let (built, _) = tokio::join!(build_it, movers);
    assert_eq!(built.unwrap(), Ok(()));
    assert_eq!(links(&database).await, 2001);
}

/// An app's link says how old the login is, and the data of a session do not (P2).
#[tokio::test]
async fn a_link_that_the_app_makes_meanwhile_wins() {
    let before = Before::install(2, 10).await;
    let (database, user) = (&before.database, before.users[0]);
    let key = before.sessions[0][0].clone();
    build_and_meanwhile(database, NO_FOREIGN_KEY_YET, async {
        database.change_password(user).await;
        let link = "select session_reaper.link_session($1, $2)";
        database.execute(link, &[&key, &user]).await.unwrap();
    })
    .await;
    read_the_rest(database).await;
    let own = "select count(*) from session_reaper.user_session where not from_data and begun_at > '-infinity'";
    assert_eq!(database.number(own).await, 1);
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&before.sessions[0]).await, 1);
    assert!(exists(database, &key).await);
}

#[tokio::test]
async fn a_settled_revocation_is_opened_again_for_a_session_that_is_found_to_be_older() {
    let before = Before::install(2, 10).await;
    let (database, users) = (&before.database, &before.users);
    read_the_rest(database).await;
    // As after writes that nobody noted, and nobody knows since when.
    database
        .batch_execute("delete from session_reaper.user_session")
        .await
        .unwrap();
    let daemon = database.daemon().await;
    database.change_password(users[0]).await;
    database.settled().await;
    daemon.stop().await;
    assert_eq!(database.count(&before.sessions[0]).await, 10);
    database
        .batch_execute("select session_reaper.backfill_again('asked for')")
        .await
        .unwrap();
    assert!(build(database).await);
    assert_eq!(database.open_revocations().await, 1);
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(database.count(&before.sessions[0]).await, 0);
    assert_eq!(database.count(&before.sessions[1]).await, 10);
}

/// Hashes of passwords are compared in the order of the links, and these are seen later than they were made.
#[tokio::test]
async fn links_that_were_built_are_compared_with_their_users_passwords() {
    let before = Before::install(2, 10).await;
    let database = &before.database;
    build_and_meanwhile(database, ALL_BUT_IN_ITS_PLACE, async {
        database
            .batch_execute("update session_reaper.hash_check set verified_to = clock_timestamp()")
            .await
            .unwrap();
    })
    .await;
    let due = "select count(*) from session_reaper.user_session l, session_reaper.hash_check h where l.linked_at > h.verified_to";
    assert_eq!(database.number(due).await, 20);
}

#[tokio::test]
async fn where_the_site_holds_on_to_the_table_links_are_made_page_by_page() {
    for (obstacle, undo) in [
        (
            "create view of_the_site as select user_id from session_reaper.user_session",
            "drop view of_the_site",
        ),
        (
            "create table of_the_site (key varchar(40) references session_reaper.user_session)",
            "drop table of_the_site",
        ),
        (
            "create publication p for table session_reaper.user_session",
            "drop publication p",
        ),
        ("create publication p for all tables", "drop publication p"),
        (
            "alter table session_reaper.user_session replica identity full",
            "alter table session_reaper.user_session replica identity default",
        ),
        (
            "alter table session_reaper.user_session disable trigger adopt_link",
            "alter table session_reaper.user_session enable trigger adopt_link",
        ),
    ] {
        let before = Before::install(2, 6).await;
        let database = &before.database;
        database.batch_execute(obstacle).await.unwrap();
        let shape_before = shape(database).await;
        let built = try_to_build(database).await.unwrap();
        assert_eq!(built, Err(Obstacle::Dependent), "{obstacle}");
        assert_eq!(shape(database).await, shape_before);
        assert_eq!(links(database).await, 0);
        read_the_rest(database).await;
        assert_eq!(links(database).await, 12);
        database.batch_execute(undo).await.unwrap();
    }
}

/// That the site makes one in the very moment must not leave it with a view over a table that is to be dropped.
#[tokio::test]
async fn a_view_that_is_made_meanwhile_keeps_the_table() {
    let before = Before::install(2, 6).await;
    let database = &before.database;
    let holder = database.connect().await;
    holder
        .batch_execute(&format!("begin; lock table {ALL_BUT_IN_ITS_PLACE}"))
        .await
        .unwrap();
    let view = "create view of_the_site as select user_id from session_reaper.user_session; commit";
    let meddle = async {
        wait_until("it is built", async || {
            database
                .number("select count(*) from pg_indexes where tablename = 'user_session_built'")
                .await
                == 3
        })
        .await;
        holder.batch_execute(view).await.unwrap();
    };
    let (built, ()) = tokio::join!(build(database), meddle);
    assert!(!built);
    read_the_rest(database).await;
    assert_eq!(
        database.number("select count(*) from of_the_site").await,
        12
    );
    let tables =
        "select count(*) from pg_class where relname like 'user_session_%' and relkind = 'r'";
    assert_eq!(database.number(tables).await, 0);
}

#[tokio::test]
async fn a_table_that_somebody_looks_at_for_long_stays_and_nothing_is_left_over() {
    let before = Before::install(2, 6).await;
    let database = &before.database;
    let shape_before = shape(database).await;
    let report = database.connect().await;
    report
        .batch_execute("begin; select from session_reaper.user_session")
        .await
        .unwrap();
    let refused = try_to_build(database).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("could not lock session_reaper.user_session"),
        "{refused}"
    );
    assert_eq!(shape(database).await, shape_before);
    read_the_rest(database).await;
    assert_eq!(links(database).await, 12);
}

#[tokio::test]
async fn who_is_not_the_owner_links_page_by_page() {
    let before = Before::install(2, 6).await;
    let database = &before.database;
    let role = format!("daemon_{}", fastrand::u32(..));
    let settings = Site {
        daemon_role: Some(role.clone()),
        ..Site::default()
    };
    database
        .batch_execute(&format!("create role {role} login"))
        .await
        .unwrap();
    schema::migrate(&database.target(), &settings)
        .await
        .unwrap();
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let client = crate::stage::connect(&url).await;
    let site = schema::check(&client, &settings).await.unwrap();
    let target = crate::stage::target(&url);
    let refused = bulk::build(&target, &site, 1, &Stop::default(), |_| ()).await;
    assert!(matches!(refused, Err(schema::Error::NotOwner { .. })));
    assert_eq!(run(&url, &["link"]).await.code, Some(0));
    assert_eq!(links(database).await, 12);
}

/// Where a trigger links them, the queue does not tell who has left a session.
#[tokio::test]
async fn sessions_whose_user_stands_in_a_column_are_linked_page_by_page() {
    let database = Database::create_bare(server()).await;
    database
        .batch_execute("alter table django_session add user_id integer")
        .await
        .unwrap();
    let user = database.users(1).await[0];
    let insert = "insert into django_session select md5(n::text), '', now() + interval '1 day', $1 from generate_series(1, 20) n";
    database.execute(insert, &[&user]).await.unwrap();
    let settings = Site {
        user_column: Some("user_id".to_owned()),
        data_column: None,
        codec: None,
        ..Site::default()
    };
    schema::migrate(&database.target(), &settings)
        .await
        .unwrap();
    let client = database.connect().await;
    let site = schema::check(&client, &settings).await.unwrap();
    let target = database.target();
    let built = bulk::build(&target, &site, 1, &Stop::default(), |_| ()).await;
    assert_eq!(built.unwrap(), Err(Obstacle::Trigger));
}

#[tokio::test]
async fn what_a_run_that_was_killed_left_over_is_in_nobodys_way() {
    let before = Before::install(2, 6).await;
    let database = &before.database;
    let shape_before = shape(database).await;
    for command in [&["migrate"][..], &["pause"], &["resume"], &["link"]] {
        for name in ["user_session_built", "user_session_replaced"] {
            database
                .batch_execute(&format!(
                    "create table session_reaper.{name} (like session_reaper.user_session including all);
                    alter table session_reaper.{name}
                        add constraint user_session_of_session foreign key (session_key) references django_session on delete cascade,
                        add constraint user_session_of_user foreign key (user_id) references auth_user on delete cascade"
                ))
                .await
                .unwrap();
        }
        if command == ["link"] {
            assert!(build(database).await);
        } else {
            run(database.url(), command).await.assert_done();
        }
        let left = "select count(*) from pg_class where relname in ('user_session_built', 'user_session_replaced')";
        assert_eq!(database.number(left).await, 0, "{command:?}");
    }
    assert_eq!(shape(database).await, shape_before);
}

/// Wherever it is: the live table is the old one or the new one, whole.
#[tokio::test]
async fn one_that_is_killed_can_be_repeated() {
    let before = Before::install(2, 10).await;
    let database = &before.database;
    for round in 0..12_u64 {
        let time = std::time::Duration::from_millis(10 + round * 12);
        let done = tokio::time::timeout(time, build(database)).await;
        let linked = links(database).await;
        assert!(linked == 0 || linked == 20, "{linked}");
        if linked == 20 || done.is_ok() {
            break;
        }
    }
    let begun = std::time::Instant::now();
    while links(database).await == 0 && !build(database).await {
        // The server has not noticed yet that the last one is gone.
        assert!(begun.elapsed().as_secs() < 20);
    }
    read_the_rest(database).await;
    assert_eq!(links(database).await, 20);
    let again = run(database.url(), &["migrate"]).await;
    assert_eq!(again.assert_done().lines().count(), 1, "{}", again.stdout);
    assert!(shape(database).await.contains("user_session_pkey"));
}

#[tokio::test]
async fn link_builds_by_itself_where_there_are_many() {
    let database = Database::create_bare(server()).await;
    let users = database.users(2).await;
    let fill = "insert into django_session
        select md5(n::text), case n % 2 when 0 then $1 else $2 end, now() + interval '1 day' from generate_series(1, 60000) n";
    database
        .execute(fill, &[&data_of(users[0]), &data_of(users[1])])
        .await
        .unwrap();
    database.batch_execute("analyze").await.unwrap();
    database.migrate().await;
    let oid = "select 'session_reaper.user_session'::regclass::oid::bigint";
    let before = database.number(oid).await;
    let said = read_the_rest(&database).await;
    assert!(said.starts_with("every session has been read, "), "{said}");
    assert_eq!(links(&database).await, 60_000);
    assert_ne!(database.number(oid).await, before);
}
