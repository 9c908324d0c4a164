//! Nothing that happens to a site makes a statement of the app's fail because of us, and `status` says so at once (P8).

use serde_json::Value;
use session_reaper::{demo::site, schema, settings::Settings};
use tokio_postgres::{Client, error::SqlState};

use crate::stage::{
    Database, begun, connect,
    django::{data_of, exists, open, read_table},
    log_in_as_app,
    program::run,
    server, target, wait_until,
};

/// A site that is owned, and was migrated, by a role that is no superuser; and the app's own role.
struct Owned {
    database: Database,
    app: Client,
    owner: String,
}

impl Owned {
    async fn create() -> Self {
        let database = Database::create_bare(server()).await;
        let suffix = fastrand::u32(..);
        let owner = format!("owner_{suffix}");
        database
            .batch_execute(&format!(
                "create role {owner} login; create role rotated_{suffix}; create role app_{suffix} login;
                grant create on database {} to {owner};
                alter table auth_user owner to {owner}; alter table django_session owner to {owner};
                grant select, insert, update, delete on auth_user, django_session to app_{suffix};
                grant usage on sequence auth_user_id_seq to app_{suffix}",
                database.name()
            ))
            .await
            .unwrap();
        let url = |role: &str| {
            database
                .url()
                .replace("user=postgres", &format!("user={role}"))
        };
        let mut settings = Settings::default();
        settings.site.app_roles = vec![format!("app_{suffix}")];
        schema::migrate(&target(&url(&owner)), &settings.site)
            .await
            .unwrap();
        let app = connect(&url(&format!("app_{suffix}"))).await;
        Self {
            database,
            app,
            owner,
        }
    }

    fn owners_target(&self) -> session_reaper::connection::Target {
        let user = format!("user={}", self.owner);
        target(&self.database.url().replace("user=postgres", &user))
    }

    /// Everything that an app does, each in a transaction of its own.
    async fn use_site(&self) {
        let users = site::sign_up(
            &self.app,
            &[
                format!("a{}", fastrand::u64(..)),
                format!("b{}", fastrand::u64(..)),
            ],
        )
        .await
        .unwrap();
        let sessions = log_in_as_app(&self.app, &[users[0], users[0], users[1]]).await;
        for statement in [
            format!(
                "select session_reaper.link_session('{}', {}, session_reaper.credential_version({}))",
                sessions[0], users[0], users[0]
            ),
            "update django_session set session_data = 'saved'".to_owned(),
            format!(
                "update auth_user set password = 'new' where id = {}",
                users[0]
            ),
            format!(
                "update auth_user set is_active = false where id = {}",
                users[0]
            ),
            format!("select session_reaper.revoke_user({})", users[1]),
            format!("delete from auth_user where id = {}", users[1]),
            format!(
                "update django_session set session_key = 'k{}' where session_key = '{}'",
                fastrand::u64(..),
                sessions[1]
            ),
            format!(
                "delete from django_session where session_key = '{}'",
                sessions[2]
            ),
        ] {
            let done = self.app.batch_execute(&statement).await;
            assert!(done.is_ok(), "{statement}: {done:?}");
        }
    }
}

async fn problems(url: &str) -> (Option<i32>, String) {
    let ended = run(url, &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    (ended.code, status["problems"].to_string())
}

/// What a rotation job, or a person, does to the site, how that is undone, and what `status` says of it.
async fn is_survived(harm: &str, mend: &str, says: &str) {
    for served in [false, true] {
        let site = Owned::create().await;
        let fill = |text: &str| {
            text.replace("ROTATED", &site.owner.replace("owner", "rotated"))
                .replace("OWNER", &site.owner)
        };
        let database = &site.database;
        let daemon = match served {
            true => Some(
                database
                    .daemon_at(Settings::default(), site.owners_target())
                    .await,
            ),
            false => None,
        };
        database.batch_execute(&fill(harm)).await.unwrap();
        // Before anybody has failed at it.
        let (code, found) = problems(database.url()).await;
        assert_eq!(code, Some(1), "{harm}");
        assert!(found.contains(says), "{harm}: {found}");
        for _ in 0..5 {
            site.use_site().await;
        }
        database.batch_execute(&fill(mend)).await.unwrap();
        let _daemon = match daemon {
            Some(daemon) => daemon,
            None => {
                database
                    .daemon_at(Settings::default(), site.owners_target())
                    .await
            }
        };
        // What failed several times waits for seconds until it is tried again.
        database
            .batch_execute("update session_reaper.revocation set next_attempt_at = '-infinity'")
            .await
            .unwrap();
        database.settled().await;
        let left = "select count(*) from session_reaper.user_session l join session_reaper.revocation r on r.user_id = l.user_id";
        assert_eq!(database.number(left).await, 0, "{harm}");
        // The sessions that this app saves hold nothing that the codec knows, which is a problem of its own.
        let unreadable = "had data in which none could be found";
        wait_until("all is well again", || async {
            let (_, found) = problems(database.url()).await;
            let found: Vec<String> = serde_json::from_str(&found).unwrap();
            found.iter().all(|problem| problem.contains(unreadable))
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_table_that_gets_another_owner_fails_nothing_of_the_apps() {
    is_survived(
        "alter table django_session owner to ROTATED",
        "alter table django_session owner to OWNER",
        "lacks rights on public.django_session",
    )
    .await;
}

#[tokio::test]
async fn a_user_table_that_gets_another_owner_fails_nothing_of_the_apps() {
    is_survived(
        "alter table auth_user owner to ROTATED",
        "alter table auth_user owner to OWNER",
        "lacks rights on public.auth_user",
    )
    .await;
}

#[tokio::test]
async fn a_right_that_the_owner_revokes_from_itself_fails_nothing_of_the_apps() {
    is_survived(
        "revoke delete on django_session from OWNER",
        "grant delete on django_session to OWNER",
        "lacks rights on public.django_session, so that they can end no session: grant delete on",
    )
    .await;
}

#[tokio::test]
async fn row_security_that_is_forced_later_fails_nothing_of_the_apps() {
    is_survived(
        "alter table django_session enable row level security; alter table django_session force row level security;
         create policy all_of_it on django_session using (true) with check (true)",
        "alter table django_session disable row level security",
        "row security hides rows of public.django_session",
    )
    .await;
}

/// The app reaches the renamed table by a view, as in a rename without downtime.
#[tokio::test]
async fn a_renamed_session_table_fails_nothing_of_the_apps() {
    is_survived(
        "alter table django_session rename to away; create view django_session as select * from away;
         grant select, insert, update, delete on django_session to public",
        "drop view django_session; alter table away rename to django_session",
        "session_table",
    )
    .await;
}

#[tokio::test]
async fn renamed_keys_fail_nothing_of_the_apps() {
    for (table, column) in [("django_session", "session_key"), ("auth_user", "id")] {
        let database = Database::create().await;
        read_table(&database).await;
        let user = database.users(1).await[0];
        let other = database.users(1).await[0];
        let sessions = database.log_in(user, 2).await;
        database
            .batch_execute(&format!("alter table {table} rename column {column} to k"))
            .await
            .unwrap();
        let (id, key) = if table == "auth_user" {
            ("k", "session_key")
        } else {
            ("id", "k")
        };
        for statement in [
            "update django_session set session_data = 'saved'".to_owned(),
            format!("update auth_user set password = 'new' where {id} = {user}"),
            format!("update auth_user set is_active = false where {id} = {user}"),
            format!(
                "update django_session set {key} = 'renamed' where {key} = '{}'",
                sessions[0]
            ),
            format!("update auth_user set {id} = {id} + 1000 where {id} = {other}"),
            format!("delete from auth_user where {id} = {other} + 1000"),
        ] {
            let done = database.batch_execute(&statement).await;
            assert!(done.is_ok(), "{statement}: {done:?}");
        }
        assert_eq!(problems(database.url()).await.0, Some(1));
        database
            .batch_execute(&format!("alter table {table} rename column k to {column}"))
            .await
            .unwrap();
        let _daemon = database.daemon().await;
        database.settled().await;
        assert_eq!(
            database
                .count(&[sessions[1].clone(), "renamed".to_owned()])
                .await,
            0,
            "{table}"
        );
    }
}

/// An ASSERT is no error to "when others", and what a trigger says may be the key (P7).
#[tokio::test]
async fn a_trigger_of_the_sites_that_raises_is_noted_by_its_sqlstate_alone() {
    for (raise, state) in [
        ("raise exception 'no, not %', old.session_key", "P0001"),
        ("assert false, old.session_key", "P0004"),
    ] {
        for deferred in [false, true] {
            let database = Database::create().await;
            let user = database.users(1).await[0];
            let sessions = database.log_in(user, 2).await;
            let trigger = if deferred {
                "constraint trigger refuse after delete on django_session deferrable initially deferred"
            } else {
                "trigger refuse after delete on django_session"
            };
            database
                .batch_execute(&format!(
                    "create function refuse() returns trigger language plpgsql as $$ begin {raise}; return null; end $$;
                    create {trigger} for each row execute function refuse()"
                ))
                .await
                .unwrap();
            database.change_password(user).await;
            assert_eq!(database.count(&sessions).await, 2);
            let noted: Option<String> = database
                .query_one("select last_error from session_reaper.revocation", &[])
                .await
                .unwrap()
                .get(0);
            assert_eq!(noted.as_deref(), Some(state), "{trigger}");
            let (code, found) = problems(database.url()).await;
            assert_eq!(code, Some(1));
            assert!(
                found.contains(state) && !found.contains(&sessions[0]),
                "{found}"
            );
        }
    }
}

#[tokio::test]
async fn a_function_of_ours_that_is_missing_fails_no_change_and_migrate_brings_it_back() {
    for function in [
        "sweep(bigint[], integer, boolean)",
        "is_served()",
        "announce()",
        "note_write(varchar, boolean)",
    ] {
        let database = Database::create().await;
        let user = database.users(1).await[0];
        let sessions = database.log_in(user, 2).await;
        database
            .batch_execute(&format!("drop function session_reaper.{function} cascade"))
            .await
            .unwrap();
        database
            .batch_execute("update django_session set session_data = 'saved'")
            .await
            .unwrap();
        database.change_password(user).await;
        if function != "is_served()" {
            let (_, found) = problems(database.url()).await;
            assert!(
                found.contains("is missing: run `session-reaper migrate`"),
                "{found}"
            );
        }
        database.migrate().await;
        let _daemon = database.daemon().await;
        database.settled().await;
        assert_eq!(database.count(&sessions).await, 0, "{function}");
    }
}

/// A person who cancels wants the statement to end; a time-out would fail the app for work of ours.
#[tokio::test]
async fn a_time_out_of_the_apps_leaves_the_work_to_the_daemon_and_a_cancel_cancels() {
    for (cancels, code) in [(false, None), (true, Some(&SqlState::QUERY_CANCELED))] {
        let database = Database::create().await;
        let user = database.users(1).await[0];
        let sessions = database.log_in(user, 1).await;
        database
            .batch_execute(
                "create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(20); return null; end $$;
                create trigger dawdle after delete on django_session for each row execute function dawdle()",
            )
            .await
            .unwrap();
        let app = database.connect().await;
        let pid: i32 = app
            .query_one("select pg_backend_pid()", &[])
            .await
            .unwrap()
            .get(0);
        let timeout = if cancels { "10min" } else { "1s" };
        app.batch_execute(&format!(
            "begin; set local statement_timeout = '{timeout}'; update auth_user set password = 'new' where id = {user}"
        ))
        .await
        .unwrap();
        let changing = app.batch_execute("set constraints all immediate");
        let cancel = async {
            if cancels {
                wait_until("it sleeps", || async {
                    database
                        .number(&format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'"))
                        .await
                        == 1
                })
                .await;
                database
                    .execute("select pg_cancel_backend($1)", &[&pid])
                    .await
                    .unwrap();
            }
        };
        let (changed, ()) = tokio::join!(changing, cancel);
        assert_eq!(changed.as_ref().err().and_then(|error| error.code()), code);
        if !cancels {
            // Without the time-out, the commit would try what is new, and nothing is.
            app.batch_execute("commit").await.unwrap();
            assert_eq!(database.count(&sessions).await, 1);
            assert_eq!(
                database
                    .number(
                        "select count(*) from session_reaper.revocation where last_error = '57014'"
                    )
                    .await,
                1
            );
        }
    }
}

/// A login that our trigger fails to note.
async fn open_unnoted(database: &Database, user: i32) -> String {
    let fail = "alter table session_reaper.pending_link add constraint broken check (session_key is null) not valid";
    database.batch_execute(fail).await.unwrap();
    let session = open(database, &data_of(user)).await;
    let work_again = "alter table session_reaper.pending_link drop constraint broken";
    database.batch_execute(work_again).await.unwrap();
    session
}

/// P1: what nobody noted may be anybody's.
#[tokio::test]
async fn a_save_that_cannot_be_noted_succeeds_and_every_session_is_read_before_anything_settles() {
    let database = Database::create().await;
    read_table(&database).await;
    let user = database.users(1).await[0];
    let missed = open_unnoted(&database, user).await;
    let (_, found) = problems(database.url()).await;
    assert!(
        found.contains("a write of a session could not be noted (SQLSTATE 23514)"),
        "{found}"
    );
    database.change_password(user).await;
    let _daemon = database.daemon_with(Settings::default()).await;
    database.settled().await;
    assert!(!exists(&database, &missed).await);
    assert_eq!(
        database
            .number("select count(*) from session_reaper.missed")
            .await,
        0
    );
    let read_again =
        "select count(*) from session_reaper.backfill where complete and reason = 'missed'";
    assert_eq!(database.number(read_again).await, 1);
}

/// P1: the row that its snapshot shows has been acted on since, by a backfill that could not see this session.
#[tokio::test]
async fn what_repeatable_read_misses_is_noted_though_it_sees_that_something_was_missed_before() {
    let database = Database::create().await;
    let before = "insert into session_reaper.missed (what, sqlstate) values ('write', '23514')";
    database.batch_execute(before).await.unwrap();
    let login = begun(&database, "begin isolation level repeatable read").await;
    let act = "delete from session_reaper.missed;
        alter table session_reaper.pending_link add constraint broken check (session_key is null) not valid";
    database.batch_execute(act).await.unwrap();
    let open = "insert into django_session values ('late', $1, now() + interval '1 day')";
    let user = database.users(1).await[0];
    login.execute(open, &[&data_of(user)]).await.unwrap();
    login.batch_execute("commit").await.unwrap();
    let missed = "select count(*) from session_reaper.missed where what = 'write'";
    assert_eq!(database.number(missed).await, 1);
}

/// P2: nothing has settled since it was written, so it is younger than what had settled before.
#[tokio::test]
async fn a_login_that_could_not_be_noted_outlives_the_changes_that_had_settled_before() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    database.sessions_backfilled().await;
    database.change_password(user).await;
    database.settled().await;
    let session = open_unnoted(&database, user).await;
    let read_again =
        "select count(*) from session_reaper.backfill where complete and reason = 'missed'";
    wait_until("all sessions have been read again", || async {
        database.number(read_again).await == 1
    })
    .await;
    database.settled().await;
    let links = "select count(*) from session_reaper.user_session";
    assert_eq!(database.number(links).await, 1);
    assert!(exists(&database, &session).await);
}

/// The key of the one that is gone was known to have been opened anonymous, which says nothing of the other one.
#[tokio::test]
async fn a_session_renamed_to_the_key_of_one_that_was_opened_anonymous_fails_nothing_and_ends() {
    for known in [true, false] {
        let database = Database::create_bare(server()).await;
        let user = database.users(1).await[0];
        let old = open(&database, &data_of(user)).await;
        database.migrate().await;
        for key in ["gone", "stays"] {
            database
                .batch_execute(&format!(
                    "insert into django_session values ('{key}', '', now() + interval '1 day')"
                ))
                .await
                .unwrap();
        }
        let noted = "insert into session_reaper.opened_anonymous values ('gone'), ('stays')";
        database
            .batch_execute(&format!("delete from session_reaper.pending_link; {noted}"))
            .await
            .unwrap();
        database
            .batch_execute("delete from django_session where session_key = 'gone'")
            .await
            .unwrap();
        let from = if known { "stays" } else { &old };
        database
            .execute(
                "update django_session set session_key = 'gone' where session_key = $1",
                &[&from],
            )
            .await
            .unwrap();
        let noted =
            "select count(*) from session_reaper.opened_anonymous where session_key = 'gone'";
        assert_eq!(database.number(noted).await, i64::from(known));
        if !known {
            database.change_password(user).await;
            let _daemon = database.daemon().await;
            database.settled().await;
            assert!(!exists(&database, &"gone".to_owned()).await);
        }
    }
}
