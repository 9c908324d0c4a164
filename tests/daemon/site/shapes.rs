//! Sites whose tables are not Django's: other key types, other schemas, names that need quoting.

use session_reaper::{schema, settings, settings::Settings};
use tokio_postgres::Client;

use crate::stage::{Database, Running, server, wait_until};

/// A site's tables, and how SQL names them.
struct Shape<'a> {
    tables: &'a str,
    settings: settings::Site,
    users: &'static str,
    user_key: &'static str,
    password: &'static str,
    sessions: &'static str,
    session_key: &'static str,
    expires: &'static str,
    /// Keys of two users.
    keys: [&'static str; 2],
}

/// Django's names, for the shapes that differ in types only.
fn shape<'a>(tables: &'a str, keys: [&'static str; 2]) -> Shape<'a> {
    Shape {
        tables,
        settings: settings::Site {
            data_column: None,
            codec: None,
            ..settings::Site::default()
        },
        users: "auth_user",
        user_key: "id",
        password: "password",
        sessions: "django_session",
        session_key: "session_key",
        expires: "expire_date",
        keys,
    }
}

impl Shape<'_> {
    async fn create(&self) -> Database {
        let database = Database::create_empty(server()).await;
        database.batch_execute(self.tables).await.unwrap();
        schema::migrate(&database.target(), &self.settings)
            .await
            .unwrap();
        for key in self.keys {
            let Self {
                users,
                user_key,
                password,
                ..
            } = self;
            run(
                &database,
                &format!("insert into {users} ({user_key}, {password}) values ('{key}', 'old')"),
            )
            .await;
        }
        database
    }

    async fn daemon(&self, database: &Database) -> Running {
        let mut settings = Settings::default();
        settings.site = self.settings.clone();
        database.daemon_with(settings).await
    }

    async fn log_in(&self, client: &Client, session: &str, user: &str) {
        let Self {
            sessions,
            session_key,
            expires,
            ..
        } = self;
        run(
            client,
            &format!("insert into {sessions} ({session_key}, {expires}) values ('{session}', now() + interval '1 day')"),
        )
        .await;
        run(
            client,
            &format!("select session_reaper.link_session('{session}', '{user}')"),
        )
        .await;
    }

    async fn sessions(&self, database: &Database) -> String {
        let Self {
            sessions,
            session_key,
            ..
        } = self;
        let list = format!(
            "select coalesce(string_agg({session_key}::text, ' ' order by {session_key}), '') from {sessions}"
        );
        database.query_one(&list, &[]).await.unwrap().get(0)
    }

    async fn left(&self, database: &Database, expected: &str) {
        wait_until(&format!("only {expected} is left"), || async {
            self.sessions(database).await == expected && database.open_revocations().await == 0
        })
        .await;
    }

    /// By every route that names a user or a session.
    async fn works(&self) -> Database {
        let database = self.create().await;
        let _daemon = self.daemon(&database).await;
        let [hers, his] = self.keys;
        for (session, user) in [
            ("s1", hers),
            ("s2", hers),
            ("s3", his),
            ("s4", his),
            ("s5", his),
        ] {
            self.log_in(&database, session, user).await;
        }
        let Self {
            users,
            user_key,
            password,
            ..
        } = self;

        run(&database, "select session_reaper.revoke_session('s1')").await;
        self.left(&database, "s2 s3 s4 s5").await;
        run(
            &database,
            &format!("update {users} set {password} = 'new' where {user_key} = '{hers}'"),
        )
        .await;
        self.left(&database, "s3 s4 s5").await;
        run(&database, &format!("begin; select set_config('session_reaper.keep_session', 's3', true); update {users} set {password} = 'new' where {user_key} = '{his}'; commit")).await;
        self.left(&database, "s3").await;
        self.log_in(&database, "s6", hers).await;
        database
            .execute("select pg_notify('session_reaper', $1)", &[&his])
            .await
            .unwrap();
        self.left(&database, "s6").await;
        self.log_in(&database, "s7", his).await;
        run(
            &database,
            &format!("delete from {users} where {user_key} = '{his}'"),
        )
        .await;
        self.left(&database, "s6").await;
        run(&database, "select session_reaper.revoke_all()").await;
        self.left(&database, "").await;
        let again = schema::migrate(&database.target(), &self.settings)
            .await
            .unwrap();
        assert!(
            again.behaviour.is_empty() && again.triggers.is_empty(),
            "{again:?}"
        );
        database
    }
}

async fn run(client: &Client, statement: &str) {
    if let Err(error) = client.batch_execute(statement).await {
        panic!("{statement}: {error:?}");
    }
}

#[tokio::test]
async fn a_site_with_bigint_keys_works() {
    shape(
        "create table auth_user (id bigint primary key, password text not null);
        create table django_session (session_key varchar(40) primary key, expire_date timestamptz not null)",
        ["9007199254740993", "-1"],
    )
    .works()
    .await;
}

#[tokio::test]
async fn a_site_with_uuid_keys_and_its_users_in_another_schema_works() {
    Shape {
        settings: settings::Site {
            user_table: "accounts.user".to_owned(),
            data_column: None,
            codec: None,
            ..settings::Site::default()
        },
        users: "accounts.user",
        ..shape(
            "create schema accounts;
            create table accounts.user (id uuid primary key, password text);
            create table django_session (session_key varchar(40) primary key, expire_date timestamptz not null)",
            ["018f4c1e-0000-7000-8000-000000000001", "018f4c1e-0000-7000-8000-000000000002"],
        )
    }
    .works()
    .await;
}

#[tokio::test]
async fn a_site_with_text_keys_and_names_that_need_quoting_works() {
    let database = Shape {
        settings: settings::Site {
            user_table: "The \"old\" one.User's table".to_owned(),
            user_key: Some("Id :No".to_owned()),
            password_column: Some("Pass\\word%s".to_owned()),
            session_table: "The \"old\" one.select".to_owned(),
            session_key: "Key \"x\" $$".to_owned(),
            expires_column: Some("Läuft ab".to_owned()),
            data_column: None,
            codec: None,
            ..settings::Site::default()
        },
        users: "\"The \"\"old\"\" one\".\"User's table\"",
        user_key: "\"Id :No\"",
        password: "\"Pass\\word%s\"",
        sessions: "\"The \"\"old\"\" one\".\"select\"",
        session_key: "\"Key \"\"x\"\" $$\"",
        expires: "\"Läuft ab\"",
        ..shape(
            "create schema \"The \"\"old\"\" one\";
            create table \"The \"\"old\"\" one\".\"User's table\" (\"Id :No\" text primary key, \"Pass\\word%s\" text);
            create table \"The \"\"old\"\" one\".\"select\" (\"Key \"\"x\"\" $$\" text primary key, \"Läuft ab\" timestamptz)",
            ["o:reilly {table}", "%s $1 \\ \"x\""],
        )
    }
    .works()
    .await;
    // What could not be said of the keys above.
    assert_eq!(database.open_revocations().await, 0);
}

/// A key that is compared under another collation than its index has cannot use the index.
#[tokio::test]
async fn keys_with_a_collation_of_their_own_keep_it() {
    let database = shape(
        "create table auth_user (id varchar(20) collate \"C\" primary key, password text);
        create table django_session (session_key varchar(40) collate \"POSIX\" primary key, expire_date timestamptz)",
        ["ann", "Bob"],
    )
    .works()
    .await;
    let collations =
        "select count(*) from pg_attribute a join pg_collation c on c.oid = a.attcollation
        where a.attrelid = 'session_reaper.user_session'::regclass
          and (a.attname, c.collname) in (('session_key', 'POSIX'), ('user_id', 'C'))";
    assert_eq!(database.number(collations).await, 2);
}

/// What the keys of sessions are compared by must not decide how a user's revocations are found.
#[tokio::test]
async fn changes_are_found_through_their_indexes_whatever_collations_the_keys_have() {
    for (user, session) in [("", "\"POSIX\""), ("\"C\"", "\"POSIX\""), ("\"C\"", "")] {
        let collate = |name: &str| match name {
            "" => String::new(),
            name => format!("collate {name}"),
        };
        let tables = format!(
            "create table auth_user (id text {} primary key, password text);
            create table django_session (session_key text {} primary key, expire_date timestamptz)",
            collate(user),
            collate(session)
        );
        let database = shape(&tables, ["ann", "Bob"]).works().await;
        run(
            &database,
            "set enable_seqscan = off; set enable_bitmapscan = off",
        )
        .await;
        let plan = database
            .query(
                "explain select d.* from session_reaper.user_session l
                cross join lateral session_reaper.deciding(l.user_id, l.session_key, l.xid, l.begun_at, l.snapshot) d (id)",
                &[],
            )
            .await
            .unwrap();
        let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let by_user = lines
            .iter()
            .filter(|line| line.contains("Index Cond: ((user_id = ") && line.contains("changed_"));
        assert_eq!(by_user.count(), 2, "{}", lines.join("\n"));
    }
}

/// The name of such a type has to be found where `search_path` is empty.
#[tokio::test]
async fn keys_of_a_type_that_the_site_has_made_work() {
    shape(
        "create domain user_no as bigint check (value > 0);
        create domain token as text;
        create table auth_user (id user_no primary key, password text);
        create table django_session (session_key token primary key, expire_date timestamptz)",
        ["1", "2"],
    )
    .works()
    .await;
}

/// As text such a key depends on bytea_output; the app gives it in hex.
#[tokio::test]
async fn a_key_of_raw_bytes_is_kept_and_shown_the_same_on_every_connection() {
    for kept in ["'ff01'", "encode(sha256('\\xff01'), 'hex')"] {
        let database = shape(
            "create table auth_user (id int primary key, password text);
            create table django_session (session_key bytea primary key, expire_date timestamptz)",
            ["1", "2"],
        )
        .create()
        .await;
        let app = database.connect().await;
        run(&app, "set bytea_output = 'escape'").await;
        for session in ["\\xff01", "\\xff02"] {
            let insert = format!(
                "insert into django_session values ('{session}', now() + interval '1 day'); select session_reaper.link_session('{session}', 1)"
            );
            run(&app, &insert).await;
        }
        let shown =
            "select string_agg(digest, ' ' order by digest) from session_reaper.live_session";
        let by_us: String = database.query_one(shown, &[]).await.unwrap().get(0);
        let by_app: String = app.query_one(shown, &[]).await.unwrap().get(0);
        assert_eq!(by_us, by_app);
        // No daemon is there, so the changing transaction itself ends the other one, on the app's connection.
        run(&app, &format!("begin; select set_config('session_reaper.keep_session', {kept}, true); update auth_user set password = 'new' where id = 1; commit")).await;
        let left: String = database
            .query_one(
                "select string_agg(encode(session_key, 'hex'), ' ') from django_session",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(left, "ff01");
    }
}

#[tokio::test]
async fn an_unlogged_session_table_gets_unlogged_links() {
    let database = shape(
        "create table auth_user (id int primary key, password text);
        create unlogged table django_session (session_key varchar(40) primary key, expire_date timestamptz)",
        ["1", "2"],
    )
    .works()
    .await;
    let unlogged =
        "select count(*) from pg_class where relname = 'user_session' and relpersistence = 'u'";
    assert_eq!(database.number(unlogged).await, 1);
}

/// What is one key to the site would be two to us, and the sessions of "bob" would outlive the change of "Bob".
#[tokio::test]
async fn a_key_that_the_site_compares_in_a_way_of_its_own_is_refused_with_what_to_do() {
    let sessions = "create table django_session (session_key varchar(40) primary key, expire_date timestamptz not null)";
    let users = "create table auth_user (id int primary key, password text not null)";
    let colours = "create type colour as enum ('red', 'Red');
        create function ci(colour, colour) returns int immutable language sql as 'select btint4cmp(0, 0)';
        create function same(colour, colour) returns boolean immutable language sql as 'select true';
        create function never(colour, colour) returns boolean immutable language sql as 'select false';
        create operator === (function = same, leftarg = colour, rightarg = colour);
        create operator <<< (function = never, leftarg = colour, rightarg = colour);
        create operator <<== (function = same, leftarg = colour, rightarg = colour);
        create operator >>== (function = same, leftarg = colour, rightarg = colour);
        create operator >>> (function = never, leftarg = colour, rightarg = colour)";
    let class = "using btree as operator 1 <<<, operator 2 <<==, operator 3 ===, operator 4 >>==, operator 5 >>>,
        function 1 ci(colour, colour)";
    for (tables, column, fault, setting) in [
        (
            format!("create extension citext; create table auth_user (id citext primary key, password text not null); {sessions}"),
            "public.auth_user.id",
            "is of type citext, which has an equality of its own",
            "site.user_key",
        ),
        (
            format!("create extension citext; create domain token as citext; {users};
                create table django_session (session_key token primary key, expire_date timestamptz not null)"),
            "public.django_session.session_key",
            "is of type citext, which has an equality of its own",
            "site.session_key",
        ),
        (
            format!("create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                create table auth_user (id text collate ci primary key, password text not null); {sessions}"),
            "public.auth_user.id",
            "has the collation ci, under which different texts are equal",
            "site.user_key",
        ),
        (
            format!("{colours}; create operator class colour_ci default for type colour {class};
                create table auth_user (id colour primary key, password text not null); {sessions}"),
            "public.auth_user.id",
            "is of type colour, which has an equality of its own",
            "site.user_key",
        ),
        (
            format!("{colours}; create operator class colour_ci for type colour {class};
                create table auth_user (id colour not null, password text not null);
                create unique index on auth_user (id colour_ci); {sessions}"),
            "public.auth_user.id",
            "is unique only by an operator class of its own",
            "site.user_key",
        ),
    ] {
        let database = Database::create_empty(server()).await;
        run(&database, &tables).await;
        let settings = settings::Site {
            user_key: Some("id".to_owned()),
            ..shape("", ["", ""]).settings
        };
        let refused = schema::migrate(&database.target(), &settings).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{column} {fault}")), "{refused}");
        assert!(
            refused.contains("alter column") && refused.ends_with(setting),
            "{refused}"
        );
    }
}
