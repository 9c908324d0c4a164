//! Every preset, on tables as its source makes them (`presets/*.sql`), with rows as its store writes them.

use session_reaper::{
    purger::Purger,
    schema::{self, Reading, Site, quote_identifier},
    settings::{self, Environment, Purge, Settings},
    shutdown::Stop,
};

use crate::{
    process::program::SettingsFile,
    stage::{Database, server, wait_until},
};

/// A store: what its app would send. In the statements `{user}`, `{key}`, `{n}` and `{at}` are filled in.
struct Store {
    preset: &'static str,
    tables: &'static str,
    /// What the operator has to add to the preset.
    site: &'static str,
    /// How the user of a session is found.
    reads: &'static str,
    user: &'static str,
    users: [&'static str; 2],
    /// Changes the user's password.
    change: &'static str,
    session: &'static str,
    key: &'static str,
    /// The time that the store writes, made of `{offset}` from now.
    at: &'static str,
    /// Offsets of a session that is alive and of one that is not; a store without expiry has but the first.
    offsets: [Option<&'static str>; 2],
}

const HOURS: [Option<&str>; 2] = [Some("interval '1 hour'"), Some("interval '-1 minute'")];

impl Store {
    async fn works(&self) {
        let (database, settings) = self.create().await;
        let site = Site::inspect(&database.client, &settings.site)
            .await
            .unwrap();
        assert_eq!(described(&site.reading), self.reads);
        let [hers, his] = self.users;
        let [live, expired] = self.offsets;
        let live = live.unwrap();
        for user in self.users {
            run(&database, &self.user.replace("{user}", user)).await;
        }
        for (n, user) in [(1, hers), (2, hers), (3, hers), (4, his)] {
            self.log_in(&database, n, user, live).await;
        }
        let mut left = vec![4];
        if let Some(expired) = expired {
            self.log_in(&database, 5, his, expired).await;
            left.push(5);
        }
        let _daemon = database.daemon_with(settings.clone()).await;

        run(&database, &self.change.replace("{user}", hers)).await;
        self.left(&database, &site, &left).await;
        self.log_in(&database, 6, hers, live).await;
        database.settled().await;

        self.purges(&database, &site, expired.is_some()).await;
        self.left(&database, &site, &[4, 6]).await;
        let again = schema::migrate(&database.target(), &settings.site)
            .await
            .unwrap();
        assert!(
            again.behaviour.is_empty() && again.triggers.is_empty(),
            "{again:?}"
        );
    }

    /// The expired session is shown to nobody, counted, and goes alone.
    async fn purges(&self, database: &Database, site: &Site, expires: bool) {
        let shown = "select count(*) from session_reaper.live_session";
        assert_eq!(database.number(shown).await, 2);
        let purger = Purger::new(database.target().pool().unwrap(), site);
        let expired = i64::from(expires);
        assert_eq!(purger.count_expired().await.unwrap(), expired);
        let report = purger
            .purge(&Purge::default(), &Stop::default(), |_| {})
            .await
            .unwrap();
        assert_eq!(report.sessions, u64::from(expires));
    }

    async fn create(&self) -> (Database, Settings) {
        let settings = self.settings();
        let database = Database::create_empty(server()).await;
        database.batch_execute(self.tables).await.unwrap();
        schema::migrate(&database.target(), &settings.site)
            .await
            .unwrap();
        (database, settings)
    }

    fn settings(&self) -> Settings {
        let text = format!("[site]\npreset = \"{}\"\n{}\n", self.preset, self.site);
        let file = SettingsFile::new(&text);
        let path = Some(file.path().as_ref());
        let mut settings = settings::load(path, &Environment::default()).unwrap();
        // The purge is the test's, and nobody writes sessions back here.
        settings.purge.schedule = String::new();
        settings.revoke.write_back_grace_s = 0;
        settings
    }

    async fn log_in(&self, database: &Database, n: usize, user: &str, offset: &str) {
        let key = self.key(n);
        let insert = self
            .session
            .replace("{at}", &self.at.replace("{offset}", offset))
            .replace("{key}", &key)
            .replace("{n}", &n.to_string())
            .replace("{user}", user);
        run(database, &insert).await;
        // Where nothing, or no real data of the store, says who it is, the app does.
        let says_it_itself = ["Django", "FlaskSession"]
            .iter()
            .any(|format| self.reads.ends_with(format));
        if self.reads == "by the app" || self.reads.contains(" as ") && !says_it_itself {
            let link = format!("select session_reaper.link_session('{key}', '{user}')");
            let linked: bool = database.query_one(&link, &[]).await.unwrap().get(0);
            assert!(linked, "{link}");
        }
    }

    fn key(&self, n: usize) -> String {
        self.key.replace("{n}", &n.to_string())
    }

    async fn left(&self, database: &Database, site: &Site, sessions: &[usize]) {
        let expected: Vec<String> = sessions.iter().map(|n| self.key(*n)).collect();
        let list = format!(
            "select array_agg(s.key order by s.key) from (select {}::text as key from {}) s",
            quote_identifier(&site.session_key.name),
            site.sessions.quoted()
        );
        wait_until(&format!("only {expected:?} are left"), || async {
            let left: Option<Vec<String>> = database.query_one(&list, &[]).await.unwrap().get(0);
            left.unwrap_or_default() == expected
        })
        .await;
    }
}

fn described(reading: &Reading) -> String {
    match reading {
        Reading::App => "by the app".to_owned(),
        Reading::Column(column) => column.name.clone(),
        Reading::Path { column, path } => format!("{} -> {}", column.name, path.join(" -> ")),
        Reading::Codec { column, codec } => format!("{} as {:?}", column.name, codec.format),
    }
}

async fn run(database: &Database, statement: &str) {
    if let Err(error) = database.batch_execute(statement).await {
        panic!("{statement}: {error:?}");
    }
}

#[tokio::test]
async fn django() {
    Store {
        preset: "django",
        tables: include_str!("presets/django.sql"),
        site: "",
        reads: "session_data as Django",
        user: "insert into auth_user (id, password, username) values ({user}, 'old', 'u{user}')",
        users: ["1", "2"],
        change: "update auth_user set password = 'new' where id = {user}",
        session: "insert into django_session values ('{key}', rtrim(encode('{\"_auth_user_id\":\"{user}\"}', 'base64'), '=') || ':1xVeDd:x', {at})",
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn django_user_sessions() {
    Store {
        preset: "django-user-sessions",
        tables: include_str!("presets/django-user-sessions.sql"),
        site: "",
        reads: "user_id",
        user: "insert into auth_user (id, password, username) values ({user}, 'old', 'u{user}')",
        users: ["1", "2"],
        change: "update auth_user set password = 'new' where id = {user}",
        session: "insert into user_sessions_session (session_key, session_data, expire_date, user_id) values ('{key}', '', {at}, {user})",
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn django_qsessions() {
    Store {
        preset: "django-qsessions",
        tables: include_str!("presets/django-qsessions.sql"),
        site: "",
        reads: "user_id",
        user: "insert into auth_user (id, password, username) values ({user}, 'old', 'u{user}')",
        users: ["1", "2"],
        change: "update auth_user set password = 'new' where id = {user}",
        session: "insert into qsessions_session (session_key, session_data, expire_date, user_id) values ('{key}', '', {at}, {user})",
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

/// Its app runs in New York, which the server knows nothing of.
#[tokio::test]
async fn connect_pg_simple() {
    Store {
        preset: "connect-pg-simple",
        tables: include_str!("presets/connect-pg-simple.sql"),
        site: "user_table = \"members\"\npassword_column = \"pw\"\ntime_zone = \"america/new_york\"",
        reads: "sess -> passport -> user",
        user: "insert into members values ({user}, 'old')",
        users: ["1", "2"],
        change: "update members set pw = 'new' where id = {user}",
        session: r#"insert into "session" values ('{key}', '{"cookie":{},"passport":{"user":{user}}}', {at})"#,
        key: "s{n}",
        at: "(now() + {offset}) at time zone 'America/New_York'",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn tower_sessions() {
    Store {
        preset: "tower-sessions",
        tables: include_str!("presets/tower-sessions.sql"),
        site: "user_table = \"users\"\npassword_column = \"password\"",
        reads: "data as TowerSessions",
        user: "insert into users values ({user}, 'u{user}', 'old')",
        users: ["1", "2"],
        change: "update users set password = 'new' where id = {user}",
        session: "insert into tower_sessions.session values ('{key}', '\\x93', {at})",
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn laravel() {
    Store {
        preset: "laravel",
        tables: include_str!("presets/laravel.sql"),
        site: "",
        reads: "user_id",
        user: "insert into users (id, name, email, password) values ({user}, '', '{user}', 'old')",
        users: ["1", "2"],
        change: "update users set password = 'new' where id = {user}",
        session: "insert into sessions (id, user_id, payload, last_activity) values ('{key}', {user}, 'YTowOnt9', {at})",
        key: "s{n}",
        at: "extract(epoch from now() + {offset})::integer",
        offsets: [Some("interval '-119 minutes'"), Some("interval '-121 minutes'")],
    }
    .works()
    .await;
}

#[tokio::test]
async fn phoenix() {
    Store {
        preset: "phoenix",
        tables: include_str!("presets/phoenix.sql"),
        site: "",
        reads: "user_id",
        user: "insert into users (id, email, hashed_password) values ({user}, 'u{user}', 'old')",
        users: ["1", "2"],
        change: "update users set hashed_password = 'new' where id = {user}",
        session: "insert into users_tokens (id, user_id, token, context, inserted_at) values ({key}, {user}, '\\x0{n}', 'session', {at})",
        key: "{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: [Some("interval '-1439 hours'"), Some("interval '-1441 hours'")],
    }
    .works()
    .await;
}

/// Users without a password, so the app asks.
#[tokio::test]
async fn authjs() {
    Store {
        preset: "authjs",
        tables: concat!(
            include_str!("presets/authjs.sql"),
            "create unique index on sessions (\"sessionToken\")"
        ),
        site: "",
        reads: "userId",
        user: "insert into users (id) values ({user})",
        users: ["1", "2"],
        change: "select session_reaper.revoke_user({user})",
        session: "insert into sessions (\"userId\", expires, \"sessionToken\") values ({user}, {at}, '{key}')",
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn authjs_without_a_unique_index_is_told_to_make_one() {
    let settings = settings::load(
        None,
        &Environment::from([("SESSION_REAPER_SITE_PRESET", "authjs")]),
    )
    .unwrap();
    let database = Database::create_empty(server()).await;
    run(&database, include_str!("presets/authjs.sql")).await;
    let refused = schema::migrate(&database.target(), &settings.site).await;
    let refused = refused.unwrap_err().to_string();
    let (_, statement) = refused.split_once("create one with: ").unwrap();
    run(&database, statement).await;
    schema::migrate(&database.target(), &settings.site)
        .await
        .unwrap();
}

#[tokio::test]
async fn better_auth() {
    Store {
        preset: "better-auth",
        tables: include_str!("presets/better-auth.sql"),
        site: "",
        reads: "userId",
        user: r#"insert into "user" ("id", "name", "email", "emailVerified") values ('{user}', '', '{user}', true);
            insert into "account" ("id", "accountId", "providerId", "userId", "password")
                values ('a{user}', '{user}', 'credential', '{user}', 'old'), ('b{user}', 'x', 'github', '{user}', null)"#,
        users: ["u1", "u2"],
        change: r#"update "account" set "password" = 'new' where "userId" = '{user}' and "providerId" = 'credential'"#,
        session: r#"insert into "session" ("id", "expiresAt", "token", "userId") values ('i{n}', {at}, '{key}', '{user}')"#,
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn supabase() {
    Store {
        preset: "supabase",
        tables: include_str!("presets/supabase.sql"),
        site: "",
        reads: "user_id",
        user: "insert into auth.users (id, encrypted_password) values ('{user}', 'old')",
        users: [
            "018f4c1e-0000-7000-8000-00000000000a",
            "018f4c1e-0000-7000-8000-00000000000b",
        ],
        change: "update auth.users set encrypted_password = 'new' where id = '{user}'",
        session: "insert into auth.sessions (id, user_id, created_at, not_after) values ('{key}', '{user}', now(), {at});
            insert into auth.refresh_tokens (session_id) values ('{key}')",
        key: "018f4c1e-0000-7000-8000-00000000000{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn rails_session_store() {
    Store {
        preset: "rails",
        tables: include_str!("presets/rails.sql"),
        site: "",
        reads: "data as Rails",
        user: "insert into users (id, encrypted_password) values ({user}, 'old')",
        users: ["1", "2"],
        change: "update users set encrypted_password = 'new' where id = {user}",
        session: "insert into sessions (session_id, data, updated_at) values ('{key}', 'BAh7AA==', {at})",
        key: "2::{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: [Some("interval '-719 hours'"), Some("interval '-721 hours'")],
    }
    .works()
    .await;
}

#[tokio::test]
async fn rails_authentication() {
    Store {
        preset: "rails-authentication",
        tables: include_str!("presets/rails-authentication.sql"),
        site: "",
        reads: "user_id",
        user: "insert into users (id, email_address, password_digest) values ({user}, '{user}', 'old')",
        users: ["1", "2"],
        change: "update users set password_digest = 'new' where id = {user}",
        session: "insert into sessions (id, user_id, created_at) values ({key}, {user}, {at})",
        key: "{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: [Some("interval '-10 years'"), None],
    }
    .works()
    .await;
}

#[tokio::test]
async fn spring_session() {
    Store {
        preset: "spring-session",
        tables: include_str!("presets/spring-session.sql"),
        site: "",
        reads: "principal_name",
        user: "insert into users values ('{user}', 'old', true)",
        users: ["ann", "bob"],
        change: "update users set password = 'new' where username = '{user}'",
        session: "insert into spring_session values ('p{n}', '{key}', 0, 0, 1800, {at}, '{user}');
            insert into spring_session_attributes values ('p{n}', 'SPRING_SECURITY_CONTEXT', '\\xaced')",
        key: "6f3c1e2a-0000-4000-8000-00000000000{n}",
        at: "floor(extract(epoch from now() + {offset}) * 1000)::bigint",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn flask_session() {
    Store {
        preset: "flask-session",
        tables: include_str!("presets/flask-session.sql"),
        site: "user_table = \"user\"\npassword_column = \"password_hash\"",
        reads: "data as FlaskSession",
        user: "insert into \"user\" values ({user}, 'old')",
        users: ["1", "2"],
        change: "update \"user\" set password_hash = 'new' where id = {user}",
        session: "insert into sessions (session_id, data, expiry) values ('{key}', '\\x81a85f757365725f6964a13{user}', {at})",
        key: "session:{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn scs() {
    Store {
        preset: "scs",
        tables: include_str!("presets/scs.sql"),
        site: "user_table = \"users\"\npassword_column = \"hashed_password\"",
        reads: "by the app",
        user: "insert into users values ('{user}', 'old')",
        users: [
            "018f4c1e-0000-7000-8000-00000000000a",
            "018f4c1e-0000-7000-8000-00000000000b",
        ],
        change: "update users set hashed_password = 'new' where id = '{user}'",
        session: "insert into sessions values ('{key}', '\\x00', {at})",
        key: "s{n}",
        at: "now() + {offset}",
        offsets: HOURS,
    }
    .works()
    .await;
}

#[tokio::test]
async fn symfony() {
    Store {
        preset: "symfony",
        tables: include_str!("presets/symfony.sql"),
        site: "user_table = \"user\"\npassword_column = \"password\"",
        reads: "sess_data as Symfony",
        user: "insert into \"user\" (id, email, password) values ({user}, '{user}', 'old')",
        users: ["1", "2"],
        change: "update \"user\" set password = 'new' where id = {user}",
        session: "insert into sessions values ('{key}', '', {at}, extract(epoch from now())::integer)",
        key: "s{n}",
        at: "extract(epoch from now() + {offset})::integer",
        offsets: HOURS,
    }
    .works()
    .await;
}

/// Names that only quoting survives, a user column of a smaller type than the users' key, and keys of raw bytes.
#[tokio::test]
async fn none_with_everything_named_by_hand() {
    Store {
        preset: "none",
        tables: include_str!("presets/none.sql"),
        site: r#"user_table = 'select.ünïcödé."users"'
            password_column = "set password = 'x'"
            session_table = "select.order"
            session_key = "key_of_63_bytes_which_is_the_most_that_a_name_in_postgres_has_x"
            user_column = 'who.is "it"'
            expires_column = "until :now"
            expires_unit = "epoch_ms"
            lifetime_s = 3600"#,
        reads: "who.is \"it\"",
        user: "insert into \"select\".\"ünïcödé.\"\"users\"\"\" values ({user}, 'old')",
        users: ["1", "2"],
        change: "update \"select\".\"ünïcödé.\"\"users\"\"\" set \"set password = 'x'\" = 'new' where \"from\" = {user}",
        session: "insert into \"select\".\"order\" values ('{key}', {user}, {at})",
        key: "\\x0{n}",
        at: "extract(epoch from now() + {offset}) * 1000",
        offsets: [Some("interval '-59 minutes'"), Some("interval '-61 minutes'")],
    }
    .works()
    .await;
}

#[test]
fn every_preset_is_tried_here_and_told_of_where_operators_look() {
    let presets: toml::Table = include_str!("../../src/settings/presets.toml")
        .parse()
        .unwrap();
    let tried = include_str!("presets.rs");
    let readme = include_str!("../../README.md");
    let sample = include_str!("../../systemd/session-reaper.toml");
    for name in presets.keys() {
        assert!(readme.contains(&format!("\n| `{name}` |")), "{name}");
        assert!(sample.contains(name), "{name}");
        assert!(tried.contains(&format!("preset: \"{name}\"")), "{name}");
    }
}
