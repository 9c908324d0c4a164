//! What somebody can do who has the daemon's role.

use session_reaper::{demo::site, schema, settings::Settings};
use tokio_postgres::{Client, error::SqlState};

use crate::stage::{Database, connect, server};

/// The hash of a password, salted as a site's are.
const HASH: &str = "pbkdf2_sha256$600000$SaltThatNobodyGuesses$C0ffeeC0ffeeC0ffee";

/// A site with users who have that password, with and without a session, and the role that its daemon has.
struct Stolen {
    database: Database,
    role: String,
    user: i32,
}

impl Stolen {
    async fn create(verifies: bool) -> Self {
        let database = Database::create_bare(server()).await;
        let role = format!("stolen_{}", fastrand::u32(..));
        database
            .batch_execute(&format!("create role {role} login"))
            .await
            .unwrap();
        let stolen = Self {
            user: 0,
            role,
            database,
        };
        stolen.migrate(verifies).await;
        let users = stolen.database.users(2).await;
        let hash = format!("update auth_user set password = '{HASH}'");
        stolen.database.batch_execute(&hash).await.unwrap();
        site::log_in(&stolen.database.client, &[users[0], users[0]])
            .await
            .unwrap();
        Self {
            user: users[1],
            ..stolen
        }
    }

    async fn migrate(&self, verifies: bool) {
        let mut settings = Settings::default();
        settings.site.daemon_role = Some(self.role.clone());
        settings.site.verifies = verifies;
        schema::migrate(&self.database.target(), &settings.site)
            .await
            .unwrap();
    }

    async fn connect(&self) -> Client {
        let user = format!("user={}", self.role);
        connect(&self.database.url().replace("user=postgres", &user)).await
    }
}

/// What a thief would put there: places of links, numbers of rows, and all there is of the rest.
fn argument(sql_type: &str) -> &'static str {
    match sql_type {
        "integer" | "bigint" | "double precision" => "1000",
        "boolean" => "true",
        "text[]" => "array['(0,1)', '(0,2)', '(0,3)']",
        "bigint[]" => "array[1, 2]",
        "boolean[]" => "array[true, true]",
        "bytea[]" => "array[convert_to('1', 'UTF8')]",
        "\"char\"[]" => "array['u'::\"char\"]",
        "pg_snapshot" => "pg_current_snapshot()",
        "timestamp with time zone" => "now() - interval '1 day'",
        _ => "'1'",
    }
}

/// A call of each function that this role may execute.
async fn calls(thief: &Client) -> Vec<String> {
    let functions = "select p.proname::text, array(
            select format_type(t.oid, null) from unnest(p.proargtypes::oid[]) with ordinality t (oid, place) order by place)
        from pg_proc p
        where p.pronamespace = 'session_reaper'::regnamespace
          and p.prorettype <> 'trigger'::regtype
          and has_function_privilege(p.oid, 'execute')
        order by 1";
    let rows = thief.query(functions, &[]).await.unwrap();
    let call = |row: &tokio_postgres::Row| {
        let (name, types): (String, Vec<String>) = (row.get(0), row.get(1));
        let arguments: Vec<String> = types
            .iter()
            .map(|sql_type| format!("{}::{sql_type}", argument(sql_type)))
            .collect();
        format!(
            "select f::text from session_reaper.{name}({}) f",
            arguments.join(", ")
        )
    };
    rows.iter().map(call).collect()
}

/// A look at each table that this role may read, or some columns of it.
async fn looks(thief: &Client) -> Vec<String> {
    let tables = "select format('select t::text from (select %s from %s) t',
            string_agg(format('%I', a.attname), ', '), c.oid::regclass)
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace in ('session_reaper'::regnamespace, 'public'::regnamespace)
          and c.relkind in ('r', 'v')
          and has_column_privilege(c.oid, a.attnum, 'select')
        group by c.oid";
    let rows = thief.query(tables, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Everything that these statements answer, in one transaction that goes on whatever fails.
async fn answers(thief: &mut Client, before: &str, statements: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for statement in statements {
        let transaction = thief.transaction().await.unwrap();
        transaction.batch_execute(before).await.unwrap();
        if let Ok(rows) = transaction.query(statement, &[]).await {
            all.extend(
                rows.iter()
                    .filter_map(|row| row.get::<_, Option<String>>(0)),
            );
        }
    }
    all
}

fn shows_no_hash(answers: &[String]) {
    let hex: String = HASH.bytes().map(|byte| format!("{byte:02x}")).collect();
    for answer in answers {
        assert!(!answer.contains(HASH) && !answer.contains(&hex), "{answer}");
    }
}

#[tokio::test]
async fn no_function_and_no_table_shows_a_password_hash_to_a_stolen_daemons_role() {
    for verifies in [false, true] {
        let stolen = Stolen::create(verifies).await;
        let mut thief = stolen.connect().await;
        let (calls, looks) = (calls(&thief).await, looks(&thief).await);
        assert!(calls.len() > 20 && looks.len() > 10);
        assert_eq!(
            calls.iter().any(|call| call.contains("unverified")),
            verifies
        );
        let key = if verifies {
            "insert into session_reaper.hash_key values ('k', 'k')"
        } else {
            ""
        };
        let told = answers(&mut thief, key, &[calls, looks].concat()).await;
        assert!(told.len() > 10, "{told:?}");
        shows_no_hash(&told);
    }
}

/// What is computed from a hash under the thief's own key is all that comparing shows, and it is shown.
#[tokio::test]
async fn what_is_compared_is_a_digest_under_a_key_that_the_daemon_brings() {
    let stolen = Stolen::create(true).await;
    let mut daemon = stolen.connect().await;
    let compared = "select (u.hashes[1] = sha256('outer' || sha256('inner' || convert_to('HASH', 'UTF8'))))::text
        from session_reaper.unverified(array['(0,1)'], 1000) u"
        .replace("HASH", HASH);
    let key = "insert into session_reaper.hash_key values (rpad('inner', 64, 'x')::bytea, rpad('outer', 64, 'x')::bytea)";
    let compared = compared
        .replace("'outer'", "rpad('outer', 64, 'x')::bytea")
        .replace("'inner'", "rpad('inner', 64, 'x')::bytea");
    assert_eq!(
        answers(&mut daemon, key, std::slice::from_ref(&compared)).await,
        ["true"]
    );
    // The key is gone with its transaction.
    assert!(answers(&mut daemon, "", &[compared]).await.is_empty());
}

#[tokio::test]
async fn what_a_setting_needs_is_granted_with_it_and_taken_back_without_it() {
    let stolen = Stolen::create(true).await;
    let may = format!(
        "select (has_function_privilege('{role}', 'session_reaper.unverified(text[], integer)', 'execute')::integer
            + has_table_privilege('{role}', 'session_reaper.hash_key', 'insert')::integer)::bigint",
        role = stolen.role
    );
    assert_eq!(stolen.database.number(&may).await, 2);
    stolen.migrate(false).await;
    assert_eq!(stolen.database.number(&may).await, 0);
}

#[tokio::test]
async fn a_stolen_daemons_role_neither_makes_links_nor_says_what_has_been_compared_installed_or_paused()
 {
    let stolen = Stolen::create(true).await;
    let thief = stolen.connect().await;
    for statement in [
        "insert into session_reaper.user_session (session_key, user_id) select session_key, USER from django_session limit 1",
        "update session_reaper.user_session set user_id = USER",
        "delete from session_reaper.user_session",
        "update session_reaper.hash_check set verified_to = '-infinity'",
        "update session_reaper.behaviour set digest = ''",
        "update session_reaper.schema_history set version = 99",
        "insert into session_reaper.pause (noted) values (true)",
        "select * from session_reaper.revoked_key",
        "insert into session_reaper.revoked_key (revocation_id, session_key) values (1, 'x')",
        "select password from auth_user",
        "delete from django_session",
    ] {
        let statement = statement.replace("USER", &stolen.user.to_string());
        let error = thief.batch_execute(&statement).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}: {error:?}"
        );
    }
}

/// Or the daemon of a site that has given it a role of its own would fail where no test happens to look.
#[test]
fn every_function_that_the_daemon_calls_is_among_those_that_it_is_granted() {
    let granted = include_str!("../../../src/schema/objects/duties.rs");
    for (file, text) in sources(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))) {
        // What the owner's commands call.
        let of_owner = ["/schema/", "/demo/", "/link/bulk/"];
        if of_owner.iter().any(|part| file.contains(part)) {
            continue;
        }
        for call in text.split("session_reaper.").skip(1) {
            let name: String = call
                .chars()
                .take_while(|char| char.is_ascii_lowercase() || *char == '_')
                .collect();
            let is_called = call[name.len()..].starts_with('(') && !name.is_empty();
            let is_documented = ["link_session", "revoke_session", "credential_version"];
            assert!(
                !is_called
                    || is_documented.contains(&name.as_str())
                    || granted.contains(&format!("\"{name}\"")),
                "{file} calls session_reaper.{name}(), which src/schema/objects/duties.rs does not grant"
            );
        }
    }
}

/// The files below a folder, and what is in them.
fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            files.push((path.display().to_string(), text));
        }
    }
    files
}
