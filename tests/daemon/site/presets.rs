//! Every preset, on tables as its source makes them (`presets/*.sql`), with rows as its store writes them.

use base64::{Engine, engine::general_purpose::STANDARD};
use session_reaper::{
    process::shutdown::Stop,
    purge::purger::Purger,
    schema::{self, Site, UserSource, quote_identifier},
    settings::{self, Environment, Purge, Settings},
};

use crate::stage::{Database, program::SettingsFile, server, wait_until};

/// A store: what its app would send. In the statements `{user}`, `{key}`, `{n}`, `{at}` and `{data}` are filled in.
struct Store {
    preset: &'static str,
    /// What the operator has to add to its tables.
    index: &'static str,
    /// What the operator has to add to the preset.
    site: &'static str,
    /// How the user of a session is found.
    reads: &'static str,
    user: &'static str,
    users: [&'static str; 2],
    /// Changes the user's password.
    change: &'static str,
    session: &'static str,
    /// What stands in a session; a store with a column for the user needs none.
    data: Option<Sample>,
    key: &'static str,
    /// The time that the store writes, made of `{offset}` from now.
    at: &'static str,
    /// Offsets of a session that is alive and of one that is not; a store without expiry has but the first.
    offsets: [Option<&'static str>; 2],
}

/// How a session's user is found where no preset can know it.
const BY_THE_APP: &str = "by the app";

/// What a store has unless it says otherwise.
const STORE: Store = Store {
    preset: "",
    index: "",
    site: "",
    reads: "user_id",
    user: "",
    users: ["1", "2"],
    change: "",
    session: "",
    data: None,
    key: "s{n}",
    at: "now() + {offset}",
    offsets: [Some("interval '1 hour'"), Some("interval '-1 minute'")],
};

/// Those whose users are Django's.
const DJANGO: Store = Store {
    user: "insert into auth_user (id, password, username) values ({user}, 'old', 'u{user}')",
    change: "update auth_user set password = 'new' where id = {user}",
    ..STORE
};

/// A session of the first user as the store's own runtime wrote it.
#[derive(Clone, Copy)]
struct Sample {
    base64: &'static str,
    /// What stands before the user.
    before: &'static [u8],
    /// How the format spells him.
    spelt: fn(&str) -> Vec<u8>,
}

impl Sample {
    /// The same session of another user, as a literal of SQL.
    fn of(&self, user: &str, written_for: &str) -> String {
        let written = STANDARD.decode(self.base64).unwrap();
        let place = |user| [self.before, &(self.spelt)(user)].concat();
        let (old, new) = (place(written_for), place(user));
        let at = written
            .windows(old.len())
            .position(|window| window == old)
            .unwrap();
        let (head, tail) = (&written[..at], &written[at + old.len()..]);
        let bytes: Vec<String> = [head, &new, tail]
            .concat()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(r"'\x{}'::bytea", bytes.concat())
    }
}

fn as_text(user: &str) -> Vec<u8> {
    user.into()
}

impl Store {
    async fn works(&self) {
        let (database, settings) = self.create().await;
        let site = Site::inspect(&database.client, &settings.site)
            .await
            .unwrap();
        assert_eq!(described(&site.user_source), self.reads);
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
        let shown = "select count(*) from session_reaper.live_session";
        wait_until("only two are shown", || async {
            database.number(shown).await == 2
        })
        .await;
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

    /// The expired session is counted, and goes alone.
    async fn purges(&self, database: &Database, site: &Site, expires: bool) {
        let purger = Purger::new(database.target().database().unwrap(), site);
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
        let file = format!("tests/daemon/site/presets/{}.sql", self.preset);
        let tables = std::fs::read_to_string(file).unwrap();
        run(&database, &tables).await;
        run(&database, self.index).await;
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
        let mut insert = self
            .session
            .replace("{at}", &self.at.replace("{offset}", offset));
        if let Some(sample) = &self.data {
            insert = insert.replace("{data}", &sample.of(user, self.users[0]));
        }
        let insert = insert
            .replace("{key}", &key)
            .replace("{n}", &n.to_string())
            .replace("{user}", user);
        run(database, &insert).await;
        if self.reads == BY_THE_APP {
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

fn described(reading: &UserSource) -> String {
    match reading {
        UserSource::App => BY_THE_APP.to_owned(),
        UserSource::Column(column) => column.name.clone(),
        UserSource::Path { column, path } => format!("{} -> {}", column.name, path.join(" -> ")),
        UserSource::Codec { column, codec } => format!("{} as {:?}", column.name, codec.format),
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
        reads: "session_data as Django",
        session: "insert into django_session values ('{key}', rtrim(encode('{\"_auth_user_id\":\"{user}\"}', 'base64'), '=') || ':1xVeDd:x', {at})",
        ..DJANGO
    }
    .works()
    .await;
}

#[tokio::test]
async fn django_user_sessions() {
    Store {
        preset: "django-user-sessions",
        session: "insert into user_sessions_session (session_key, session_data, expire_date, user_id) values ('{key}', '', {at}, {user})",
        ..DJANGO
    }
    .works()
    .await;
}

#[tokio::test]
async fn django_qsessions() {
    Store {
        preset: "django-qsessions",
        session: "insert into qsessions_session (session_key, session_data, expire_date, user_id) values ('{key}', '', {at}, {user})",
        ..DJANGO
    }
    .works()
    .await;
}

/// Its app runs in New York, which the server knows nothing of.
#[tokio::test]
async fn connect_pg_simple() {
    Store {
        preset: "connect-pg-simple",
        site: "user_table = \"members\"\npassword_column = \"pw\"\ntime_zone = \"america/new_york\"",
        reads: "sess -> passport -> user",
        user: "insert into members values ({user}, 'old')",
        change: "update members set pw = 'new' where id = {user}",
        session: r#"insert into "session" values ('{key}', '{"cookie":{},"passport":{"user":{user}}}', {at})"#,
        at: "(now() + {offset}) at time zone 'America/New_York'",
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn tower_sessions() {
    Store {
        preset: "tower-sessions",
        site: "user_table = \"users\"\npassword_column = \"password\"",
        reads: "data as TowerSessions",
        user: "insert into users values ({user}, 'u{user}', 'old')",
        change: "update users set password = 'new' where id = {user}",
        users: ["42", "43"],
        session: "insert into tower_sessions.session values ('{key}', {data}, {at})",
        data: Some(Sample {
            base64: "k8QQEjRWeJq83vASNFZ4mrze8IGvYXh1bS1sb2dpbi5kYXRhgqlhdXRoX2hhc2iaJGFyZ29uMmlkJKd1c2VyX2lkKpnNB+5MES4oAAAAAA==",
            before: b"\xa7user_id",
            spelt: |user| vec![user.parse().unwrap()],
        }),
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn laravel() {
    Store {
        preset: "laravel",
        user: "insert into users (id, name, email, password) values ({user}, '', '{user}', 'old')",
        change: "update users set password = 'new' where id = {user}",
        session: "insert into sessions (id, user_id, payload, last_activity) values ('{key}', {user}, 'YTowOnt9', {at})",
        at: "extract(epoch from now() + {offset})::integer",
        offsets: [Some("interval '-119 minutes'"), Some("interval '-121 minutes'")],
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn phoenix() {
    Store {
        preset: "phoenix",
        user: "insert into users (id, email, hashed_password) values ({user}, 'u{user}', 'old')",
        change: "update users set hashed_password = 'new' where id = {user}",
        session: "insert into users_tokens (id, user_id, token, context, inserted_at) values ({key}, {user}, '\\x0{n}', 'session', {at})",
        key: "{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: [Some("interval '-1439 hours'"), Some("interval '-1441 hours'")],
        ..STORE
    }
    .works()
    .await;
}

/// Users without a password, so the app asks.
#[tokio::test]
async fn authjs() {
    Store {
        preset: "authjs",
        index: "create unique index on sessions (\"sessionToken\")",
        reads: "userId",
        user: "insert into users (id) values ({user})",
        change: "select session_reaper.revoke_user({user})",
        session: "insert into sessions (\"userId\", expires, \"sessionToken\") values ({user}, {at}, '{key}')",
        ..STORE
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
        reads: "userId",
        user: r#"insert into "user" ("id", "name", "email", "emailVerified") values ('{user}', '', '{user}', true);
            insert into "account" ("id", "accountId", "providerId", "userId", "password")
                values ('a{user}', '{user}', 'credential', '{user}', 'old'), ('b{user}', 'x', 'github', '{user}', null)"#,
        users: ["u1", "u2"],
        change: r#"update "account" set "password" = 'new' where "userId" = '{user}' and "providerId" = 'credential'"#,
        session: r#"insert into "session" ("id", "expiresAt", "token", "userId") values ('i{n}', {at}, '{key}', '{user}')"#,
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn supabase() {
    Store {
        preset: "supabase",
        user: "insert into auth.users (id, encrypted_password) values ('{user}', 'old')",
        users: [
            "018f4c1e-0000-7000-8000-00000000000a",
            "018f4c1e-0000-7000-8000-00000000000b",
        ],
        change: "update auth.users set encrypted_password = 'new' where id = '{user}'",
        session: "insert into auth.sessions (id, user_id, created_at, not_after) values ('{key}', '{user}', now(), {at});
            insert into auth.refresh_tokens (session_id) values ('{key}')",
        key: "018f4c1e-0000-7000-8000-00000000000{n}",
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn rails_session_store() {
    Store {
        preset: "rails",
        reads: "data as Rails",
        user: "insert into users (id, encrypted_password) values ({user}, 'old')",
        change: "update users set encrypted_password = 'new' where id = {user}",
        users: ["42", "43"],
        session: "insert into sessions (session_id, data, updated_at) values ('{key}', encode({data}, 'base64'), {at})",
        data: Some(Sample {
            base64: "BAh7B0kiEF9jc3JmX3Rva2VuBjoGRVRJIgZ0BjsAVEkiGXdhcmRlbi51c2VyLnVzZXIua2V5BjsAVFsHWwZpL0kiIiQyYSQxMiRhYmNkZWZnaGlqa2xtbm9wcXJzdHV2BjsAVA==",
            before: b"[\x07[\x06i",
            spelt: |user| vec![user.parse::<u8>().unwrap() + 5],
        }),
        key: "2::{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: [Some("interval '-719 hours'"), Some("interval '-721 hours'")],
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn rails_authentication() {
    Store {
        preset: "rails-authentication",
        user: "insert into users (id, email_address, password_digest) values ({user}, '{user}', 'old')",
        change: "update users set password_digest = 'new' where id = {user}",
        session: "insert into sessions (id, user_id, created_at) values ({key}, {user}, {at})",
        key: "{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        offsets: [Some("interval '-10 years'"), None],
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn spring_session() {
    Store {
        preset: "spring-session",
        reads: "principal_name",
        user: "insert into users values ('{user}', 'old', true)",
        users: ["ann", "bob"],
        change: "update users set password = 'new' where username = '{user}'",
        session: "insert into spring_session values ('p{n}', '{key}', 0, 0, 1800, {at}, '{user}');
            insert into spring_session_attributes values ('p{n}', 'SPRING_SECURITY_CONTEXT', '\\xaced')",
        key: "6f3c1e2a-0000-4000-8000-00000000000{n}",
        at: "floor(extract(epoch from now() + {offset}) * 1000)::bigint",
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn flask_session() {
    Store {
        preset: "flask-session",
        site: "user_table = \"user\"\npassword_column = \"password_hash\"",
        reads: "data as FlaskSession",
        user: "insert into \"user\" values ({user}, 'old')",
        change: "update \"user\" set password_hash = 'new' where id = {user}",
        users: ["42", "43"],
        session: "insert into sessions (session_id, data, expiry) values ('{key}', {data}, {at})",
        data: Some(Sample {
            base64: "hKpfcGVybWFuZW50w6ZfZnJlc2jDqF91c2VyX2lkojQyo19pZNmAYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWI=",
            before: b"_user_id\xa2",
            spelt: as_text,
        }),
        key: "session:{n}",
        at: "(now() + {offset}) at time zone 'UTC'",
        ..STORE
    }
    .works()
    .await;
}

/// Flask-Session's backend postgresql has a table of its own, and has the server convert the time in the zone of its
/// connection.
#[tokio::test]
async fn the_zone_of_a_preset_is_not_assumed_of_another_table_on_a_database_in_new_york() {
    let store = |zone| Store {
        preset: "flask-session",
        site: zone,
        ..STORE
    };
    const OTHER: &str = "session_table = \"flask_sessions\"\nuser_table = \"user\"\npassword_column = \"password_hash\"";
    let named = format!("{OTHER}\ntime_zone = \"America/New_York\"");
    let (unnamed, named) = (store(OTHER).settings(), store(named.leak()).settings());
    let database = Database::create_empty(server()).await;
    run(&database, include_str!("presets/flask-session.sql")).await;
    run(
        &database,
        "create table flask_sessions (id serial primary key, session_id varchar(255) not null unique,
            created timestamp without time zone not null default (now() at time zone 'utc'),
            data bytea, expiry timestamp without time zone);
        set timezone = 'America/New_York';
        insert into flask_sessions (session_id, expiry) values
            ('alive', now() + interval '1 hour'), ('expired', now() - interval '1 minute')",
    )
    .await;

    let refused = schema::migrate(&database.target(), &unnamed.site).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("site.time_zone"), "{refused}");

    schema::migrate(&database.target(), &named.site)
        .await
        .unwrap();
    let site = Site::inspect(&database.client, &named.site).await.unwrap();
    let purger = Purger::new(database.target().database().unwrap(), &site);
    let report = purger
        .purge(&Purge::default(), &Stop::default(), |_| {})
        .await
        .unwrap();
    assert_eq!(report.sessions, 1);
    let alive = "select count(*) from flask_sessions where session_id = 'alive'";
    assert_eq!(database.number(alive).await, 1);
}

#[tokio::test]
async fn scs() {
    Store {
        preset: "scs",
        site: "user_table = \"users\"\npassword_column = \"hashed_password\"",
        reads: BY_THE_APP,
        user: "insert into users values ('{user}', 'old')",
        users: [
            "018f4c1e-0000-7000-8000-00000000000a",
            "018f4c1e-0000-7000-8000-00000000000b",
        ],
        change: "update users set hashed_password = 'new' where id = '{user}'",
        session: "insert into sessions values ('{key}', '\\x00', {at})",
        ..STORE
    }
    .works()
    .await;
}

/// As docs/settings.md has it for an app that keeps the user under this key.
#[tokio::test]
async fn scs_with_the_users_place_named() {
    Store {
        preset: "scs",
        site: r#"user_table = "users"
            password_column = "hashed_password"
            data_column = "data"
            codec = { format = "scs", user = ["userID"] }"#,
        reads: "data as Scs",
        user: "insert into users values ('{user}', 'old')",
        users: [
            "6f3c1e2a-0000-4000-8000-1234567890ab",
            "018f4c1e-0000-7000-8000-00000000000b",
        ],
        change: "update users set hashed_password = 'new' where id = '{user}'",
        session: "insert into sessions values ('{key}', {data}, {at})",
        data: Some(Sample {
            base64: "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAATP+CAQ8BAAAADtzl6AAAAAAF//8BAQZ1c2VySUQGc3RyaW5nDCYAJDZmM2MxZTJhLTAwMDAtNDAwMC04MDAwLTEyMzQ1Njc4OTBhYgA=",
            before: b"\x06userID\x06string\x0c\x26\0\x24",
            spelt: as_text,
        }),
        ..STORE
    }
    .works()
    .await;
}

#[tokio::test]
async fn symfony() {
    Store {
        preset: "symfony",
        site: "user_table = \"user\"\npassword_column = \"password\"",
        reads: "sess_data as Symfony",
        user: "insert into \"user\" (id, email, password) values ({user}, '{user}', 'old')",
        change: "update \"user\" set password = 'new' where id = {user}",
        users: ["42", "43"],
        session: "insert into sessions values ('{key}', {data}, {at}, extract(epoch from now())::integer)",
        data: Some(Sample {
            base64: "X3NmMl9hdHRyaWJ1dGVzfGE6Mzp7czo3OiJfY3NyZi94IjtzOjE6InkiO3M6MjM6Il9zZWN1cml0eS5sYXN0X3VzZXJuYW1lIjtzOjEzOiJ6QGV4YW1wbGUub3JnIjtzOjE0OiJfc2VjdXJpdHlfbWFpbiI7czozODI6Ik86NzU6IlN5bWZvbnlcQ29tcG9uZW50XFNlY3VyaXR5XEh0dHBcQXV0aGVudGljYXRvclxUb2tlblxQb3N0QXV0aGVudGljYXRpb25Ub2tlbiI6Mjp7aTowO3M6NDoibWFpbiI7aToxO2E6NTp7aTowO086MTU6IkFwcFxFbnRpdHlcVXNlciI6NTp7czoxOToiAEFwcFxFbnRpdHlcVXNlcgBpZCI7aTo0MjtzOjIyOiIAQXBwXEVudGl0eVxVc2VyAGVtYWlsIjtzOjEzOiJ6QGV4YW1wbGUub3JnIjtzOjg6IgAqAHJvbGVzIjthOjE6e2k6MDtzOjk6IlJPTEVfVVNFUiI7fXM6MjE6IgBBcHBcRW50aXR5XFVzZXIAdXVpZCI7TjtzOjU6ImV4dHJhIjtkOjEuNTt9aToxO2I6MTtpOjI7TjtpOjM7YToxOntzOjE6ImEiO2k6MTt9aTo0O2E6MTp7aTowO3M6OToiUk9MRV9VU0VSIjt9fX0iO31fc2YyX21ldGF8YTozOntzOjE6InUiO2k6MTtzOjE6ImMiO2k6MjtzOjE6ImwiO2k6MDt9",
            before: b"\0App\\Entity\\User\0id\";i:",
            spelt: as_text,
        }),
        at: "extract(epoch from now() + {offset})::integer",
        ..STORE
    }
    .works()
    .await;
}

/// Names that only quoting survives, a user column of a smaller type than the users' key, and keys of raw bytes.
#[tokio::test]
async fn none_with_everything_named_by_hand() {
    Store {
        preset: "none",
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
        change: "update \"select\".\"ünïcödé.\"\"users\"\"\" set \"set password = 'x'\" = 'new' where \"from\" = {user}",
        session: "insert into \"select\".\"order\" values ('{key}', {user}, {at})",
        key: "\\x0{n}",
        at: "extract(epoch from now() + {offset}) * 1000",
        offsets: [Some("interval '-59 minutes'"), Some("interval '-61 minutes'")],
        ..STORE
    }
    .works()
    .await;
}

#[test]
fn every_preset_is_tried_here_and_told_of_where_operators_look() {
    let presets: toml::Table = include_str!("../../../src/settings/presets.toml")
        .parse()
        .unwrap();
    let tried = include_str!("presets.rs");
    let page = include_str!("../../../docs/other-apps.md");
    let sample = include_str!("../../../systemd/session-reaper.toml");
    for name in presets.keys() {
        assert!(page.contains(&format!("\n| `{name}` |")), "{name}");
        assert!(sample.contains(name), "{name}");
        assert!(tried.contains(&format!("preset: \"{name}\"")), "{name}");
    }
}
