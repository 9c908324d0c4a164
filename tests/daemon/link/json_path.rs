//! Sessions whose user stands at a path in JSON: what a visitor writes beside it holds up nobody (P8), and the trigger
//! and the daemon find the same user.

use session_reaper::schema;

use crate::stage::{
    django::read_table,
    express::{change_password, express, left, links, open, settings},
    server, start_server,
};

/// The type json takes halves of a letter, which JSON.stringify writes of an emoji that slice() has cut, and NUL; jsonb
/// takes neither.
#[tokio::test]
async fn what_json_takes_and_jsonb_refuses_holds_up_nobody_and_hides_nobody() {
    for installed_first in [true, false] {
        let server = start_server(&["log_min_messages = info", "log_min_error_statement = error"]);
        let (database, settings) = express(&server).await;
        if installed_first {
            database.migrate_with(&settings).await;
        }
        open(
            &database,
            "a",
            r#"{"cookie":{},"search":"precious \ud83d"}"#,
        )
        .await;
        open(
            &database,
            "b",
            r#"{"flash":"precious \u0000","passport":{"user":2}}"#,
        )
        .await;
        open(&database, "c", r#"{"cookie":{},"passport":{"user":1}}"#).await;
        open(&database, "d", r#"{"passport":{"user":"precious \u0000"}}"#).await;
        if !installed_first {
            database.migrate_with(&settings).await;
        }
        let _daemon = database.daemon_with(settings).await;
        database.sessions_backfilled().await;
        assert_eq!(links(&database).await, "b=2 c=1", "{installed_first}");
        change_password(&database, 1).await;
        change_password(&database, 2).await;
        database.settled().await;
        assert_eq!(left(&database).await, "a d", "{installed_first}");
        let log = server.log();
        assert!(!log.contains("precious") && !log.contains("ERROR"), "{log}");
    }
}

/// Four of these name what is no user's id.
const SESSIONS: [(&str, &str); 13] = [
    ("number", r#"{"passport":{"user":42}}"#),
    ("string", r#"{"passport":{"user":"42"}}"#),
    ("twice", r#"{"passport":{"user":7},"passport":{"user":42}}"#),
    ("fraction", r#"{"passport":{"user":42.0}}"#),
    ("true", r#"{"passport":{"user":true}}"#),
    ("object", r#"{"passport":{"user":{"id": 42}}}"#),
    ("list", r#"{"passport":{"user":[42]}}"#),
    ("null", r#"{"passport":{"user":null}}"#),
    ("empty", r#"{"passport":{"user":""}}"#),
    ("nowhere", r#"{"passport":"42"}"#),
    ("left", r#"{"passport":{"user":42},"passport":null}"#),
    ("deep", r#"{"users":[{"id":7},{"id":42}]}"#),
    ("bare", "42"),
];

/// A site with these sessions, a column of this type and users whose keys are texts, of which one is like each of what
/// stands there; whose the sessions are in the end, and how many named what is no key.
async fn found(kind: &str, path: &str, installed_first: bool) -> (String, i64) {
    let (database, _) = express(server()).await;
    let settings = settings(&format!("user_path = {path}"));
    let tables = format!(
        "drop table members; create table members (id text primary key, pw text);
        insert into members select unnest('{{7,42,42.0,true,[42],\"null\",\"\",\"{{\\\"id\\\": 42}}\"}}'::text[]), 'old';
        alter table session alter column sess type {kind} using sess::{kind}"
    );
    database.batch_execute(&tables).await.unwrap();
    if installed_first {
        database.migrate_with(&settings).await;
        // Or what is read from the table as well counts twice.
        read_table(&database).await;
    }
    for (sid, sess) in SESSIONS {
        open(&database, sid, sess).await;
    }
    if !installed_first {
        database.migrate_with(&settings).await;
    }
    let _daemon = database.daemon_with(settings).await;
    database.sessions_backfilled().await;
    let no_keys = "select coalesce(sum(writes), 0)::bigint from session_reaper.unreadable where reason = 'not_key'";
    (links(&database).await, database.number(no_keys).await)
}

#[tokio::test]
async fn the_trigger_and_the_daemon_find_the_same_user_and_only_where_one_is() {
    let passport = r#"["passport", "user"]"#;
    let hers = ("number=42 string=42 twice=42".to_owned(), 4);
    for installed_first in [true, false] {
        for kind in ["json", "jsonb"] {
            let found = found(kind, passport, installed_first).await;
            assert_eq!(found, hers, "{kind} {installed_first}");
        }
        for path in [r#"["users", "1", "id"]"#, r#"["users", "-1", "id"]"#] {
            let found = found("json", path, installed_first).await;
            assert_eq!(found, ("deep=42".to_owned(), 0), "{path} {installed_first}");
        }
    }
}

/// Of a domain, whose check refuses what its type takes.
#[tokio::test]
async fn an_id_that_the_type_of_the_sites_keys_refuses_holds_up_nobody() {
    for installed_first in [true, false] {
        let (database, settings) = express(server()).await;
        let domain = "create domain member_no as bigint check (value > 0);
            alter table members alter column id type member_no";
        database.batch_execute(domain).await.unwrap();
        if installed_first {
            database.migrate_with(&settings).await;
        }
        open(&database, "a", r#"{"passport":{"user":-1}}"#).await;
        open(&database, "b", r#"{"passport":{"user":2}}"#).await;
        if !installed_first {
            schema::migrate(&database.target(), &settings.site)
                .await
                .unwrap();
        }
        let _daemon = database.daemon_with(settings).await;
        database.sessions_backfilled().await;
        assert_eq!(links(&database).await, "b=2", "{installed_first}");
        change_password(&database, 2).await;
        database.settled().await;
        assert_eq!(left(&database).await, "a", "{installed_first}");
        let counted = "select count(*) from session_reaper.unreadable where reason = 'no_user_key'";
        let noted = i64::from(installed_first);
        assert_eq!(database.number(counted).await, noted);
        let found = "select count(session_reaper.find_user('-1'))";
        assert_eq!(database.number(found).await, 0);
    }
}
