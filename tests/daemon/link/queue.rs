//! The queue of sessions to be read under circumstances that a site has sooner or later (design section 5).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use miniz_oxide::deflate::compress_to_vec_zlib;
use session_reaper::{codec::MAX_BYTES, settings::Settings};

use crate::stage::{
    Database, connect,
    django::{data, exists, links, log_in, open, queued, read_table},
    server, start_server, wait_until,
};

/// What takes rows off the queue, as the daemon does it, and how many of them; nothing is found in any.
const DRAIN: &str = "with taken as materialized (
        select array_agg(u.place) as places, (array_agg(u.seen))[1] as seen
        from session_reaper.take_pending_links(1000, false) u),
    linked as materialized (
        select l.* from taken, session_reaper.link_pending(
            places, array_fill('x'::\"char\", array[cardinality(places)]),
            array_fill(null::bytea, array[cardinality(places)]), seen) l)
    select cardinality(t.places)::bigint from taken t, linked";

/// Sessions of bots, as many at once.
async fn bots(database: &Database, count: i64) {
    let statement = "insert into django_session
        select md5(g::text || random()), $1, now() + interval '1 day' from generate_series(1, $2::bigint) g";
    let cart = data(r#"{"cart":[1]}"#);
    database.execute(statement, &[&cart, &count]).await.unwrap();
}

async fn all_read(database: &Database) {
    wait_until("the queue is empty", || async {
        queued(database).await == 0
    })
    .await;
}

/// Vacuum can take away nothing that was read since, and what was written before counts as running for ever.
#[tokio::test]
async fn under_a_transaction_that_stays_open_a_drain_touches_what_is_new_and_nothing_that_was_read()
{
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let mut app = database.connect().await;
    let open_for_an_hour = app.transaction().await.unwrap();
    open_for_an_hour
        .batch_execute(
            "set transaction isolation level repeatable read; select pg_current_xact_id()",
        )
        .await
        .unwrap();
    let daemon = database.daemon().await;
    for _ in 0..5 {
        bots(&database, 3500).await;
        all_read(&database).await;
    }
    daemon.stop().await;
    let dead = "select pg_relation_size('session_reaper.pending_link') / current_setting('block_size')::bigint";
    let blocks = database.number(dead).await;
    assert!(blocks > 200, "{blocks}: vacuum has been here");

    log_in(&database, user).await;
    let reader = database.connect().await;
    reader.batch_execute("begin").await.unwrap();
    let taken: i64 = reader.query_one(DRAIN, &[]).await.unwrap().get(0);
    assert_eq!(taken, 2);
    let touched = "select sum(pg_stat_get_xact_blocks_fetched(c.oid))::bigint from pg_class c
        where c.oid = 'session_reaper.pending_link'::regclass
           or c.oid in (select indexrelid from pg_index where indrelid = 'session_reaper.pending_link'::regclass)";
    let touched: i64 = reader.query_one(touched, &[]).await.unwrap().get(0);
    assert!(
        touched < blocks / 4,
        "{touched} blocks touched, of {blocks}"
    );
}

#[tokio::test]
async fn a_crowd_of_bots_that_never_pauses_keeps_no_change_from_settling() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let crowd = database.connect().await;
    let begun = "select count(*) from django_session";
    let come = tokio::spawn(async move {
        let cart = data(r#"{"cart":[1]}"#);
        let statement = "insert into django_session
            select md5(g::text || random()), $1, now() + interval '1 day' from generate_series(1, 100) g";
        // More than one test lasts; it is cut off at the end.
        for _ in 0..10_000 {
            crowd.execute(statement, &[&cart]).await.unwrap();
        }
    });
    wait_until("the crowd has come", || async {
        database.number(begun).await > 1000
    })
    .await;
    let old = log_in(&database, user).await;
    database.change_password(user).await;
    let before = database.number(begun).await;
    let new = log_in(&database, user).await;
    database.settled().await;
    assert!(!exists(&database, &old).await);
    wait_until("the crowd goes on", || async {
        database.number(begun).await > before
    })
    .await;
    assert!(!come.is_finished());
    come.abort();
    all_read(&database).await;
    assert!(exists(&database, &new).await);
    assert_eq!(links(&database).await, 1);
}

/// Hostile data, and the word by which it is counted; users' ids that are keys of some type are counted by SQL.
fn hostile() -> Vec<(String, &'static str)> {
    let packed = |bytes: &[u8]| {
        let zlib = compress_to_vec_zlib(bytes, 9);
        format!(".{}:1xVUK6:x", URL_SAFE_NO_PAD.encode(zlib))
    };
    let of = |id: &str| data(&format!(r#"{{"_auth_user_id":{id}}}"#));
    let bomb = packed(&vec![b' '; 4 * MAX_BYTES]);
    let whole = packed(br#"{"_auth_user_id":"1","cart":[1,2,3,4,5,6,7,8,9]}"#);
    vec![
        (bomb, "too_large"),
        (packed("[".repeat(1_000_000).as_bytes()), "truncated"),
        (
            whole.split(':').next().unwrap()[..29].to_owned() + ":1xVUK6:x",
            "truncated",
        ),
        ("eyJfYXV0:1xVUK6:x".to_owned(), "truncated"),
        ("eyJfY!V0:1xVUK6:x".to_owned(), "not_base64"),
        (of(r#""\u0000""#), "not_key"),
        (of(r#""1\u00001""#), "not_key"),
        (of(&format!(r#""{}""#, "9".repeat(100_000))), "not_key"),
    ]
}

/// A site whose users have keys of this type, and one user.
async fn site_with_keys_of(kind: &str, user: &str) -> Database {
    let database = Database::create_empty(server()).await;
    let tables = format!(
        "create table auth_user (id {kind} primary key, password text not null, is_active boolean not null default true);
        create table django_session (session_key varchar(40) primary key, session_data text not null,
            expire_date timestamptz not null);
        create index on django_session (expire_date);
        insert into auth_user values ('{user}', 'old')"
    );
    database.batch_execute(&tables).await.unwrap();
    database.migrate().await;
    database
}

#[tokio::test]
async fn hostile_data_and_ids_that_are_no_keys_or_nobodys_are_counted_and_hold_up_nobody() {
    let uuid = "6f3c1e2a-0000-4000-8000-1234567890ab";
    let strange = [
        "no number",
        "-",
        "1e3",
        "99999999999999999999",
        "NaN",
        "{}",
        "Zoë'); --",
    ];
    let hostile = hostile();
    for (kind, user, gone) in [
        ("integer", "7", "8"),
        ("bigint", "3000000007", "8"),
        ("uuid", uuid, "00000000-0000-0000-0000-000000000000"),
        ("text", "seven", "eight"),
    ] {
        let database = site_with_keys_of(kind, user).await;
        // Or what is read from the table as well counts twice.
        read_table(&database).await;
        let _daemon = database.daemon().await;
        for (data, _) in &hostile {
            open(&database, data).await;
        }
        for id in strange.iter().chain([&gone]) {
            let json = serde_json::json!({ "_auth_user_id": id }).to_string();
            open(&database, &data(&json)).await;
        }
        let json = serde_json::json!({ "_auth_user_id": user }).to_string();
        let key = open(&database, &data(&json)).await;
        wait_until("the user's is linked", || async {
            links(&database).await == 1
        })
        .await;
        let change = "update auth_user set password = 'new'";
        database.batch_execute(change).await.unwrap();
        database.settled().await;
        assert!(!exists(&database, &key).await, "{kind}");
        assert_eq!(queued(&database).await, 0, "{kind}");

        let rows = database
            .query("select reason, writes from session_reaper.unreadable", &[])
            .await
            .unwrap();
        let mut counted: Vec<(String, i64)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        counted.sort();
        // Any text is a key where keys are texts.
        let (no_key, nobody) = if kind == "text" { (0, 8) } else { (7, 1) };
        let mut expected: std::collections::BTreeMap<String, i64> = [
            ("nobody".to_owned(), nobody),
            ("no_user_key".to_owned(), no_key),
        ]
        .into();
        for (_, reason) in &hostile {
            *expected.entry((*reason).to_owned()).or_default() += 1;
        }
        expected.retain(|_, count| *count > 0);
        assert_eq!(counted, expected.into_iter().collect::<Vec<_>>(), "{kind}");
    }
}

/// What is locked is put back, and comes up again while others go on writing.
#[tokio::test]
async fn almost_a_batch_of_locked_sessions_keeps_nobody_elses_change_from_being_honoured() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let mut app = database.connect().await;
    let holder = app.transaction().await.unwrap();
    let lock = "select from auth_user where id = $1 for update";
    holder.execute(lock, &[&users[0]]).await.unwrap();
    for _ in 0..4 {
        log_in(&database, users[0]).await;
    }
    let mut settings = Settings::default();
    settings.link.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;
    let crowd = database.connect().await;
    let come = tokio::spawn(async move {
        let cart = data(r#"{"cart":[1]}"#);
        let statement = "insert into django_session
            select md5(g::text || random()), $1, now() + interval '1 day' from generate_series(1, 2) g";
        loop {
            crowd.execute(statement, &[&cart]).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    let key = log_in(&database, users[1]).await;
    database.change_password(users[1]).await;
    wait_until("the other user's session ends", || async {
        !exists(&database, &key).await
    })
    .await;
    come.abort();
    holder.commit().await.unwrap();
}

/// What the database cannot write is no key of a user there.
#[tokio::test]
async fn an_id_in_letters_that_the_databases_encoding_lacks_holds_up_nobody() {
    let server = start_server(&[]);
    connect(&server.url("postgres"))
        .await
        .batch_execute("alter database template1 is_template false")
        .await
        .unwrap();
    for statement in [
        "drop database template1",
        "create database template1 template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'",
    ] {
        let client = connect(&server.url("postgres")).await;
        client.batch_execute(statement).await.unwrap();
    }
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    open(&database, &data(r#"{"_auth_user_id":"\u6f22"}"#)).await;
    let key = log_in(&database, user).await;
    wait_until("the user's is linked", || async {
        links(&database).await == 1
    })
    .await;
    database.change_password(user).await;
    database.settled().await;
    assert!(!exists(&database, &key).await);
}
