//! What can be planted in a database beside which a daemon runs.

use super::{ailments, examine, named};
use crate::stage::Database;

/// A function of PostgreSQL's own that answers something else.
macro_rules! instead_of {
    ($function:literal, $type:literal, $body:literal) => {
        concat!(
            "set allow_system_table_mods = on;
            alter function pg_catalog.",
            $function,
            "() rename to real_",
            $function,
            ";
            create function pg_catalog.",
            $function,
            "() returns ",
            $type,
            " language sql as $$",
            $body,
            "$$"
        )
    };
}

/// Each with the check that finds it, words of its advice, its name, and the command that mends it.
pub(super) const AILMENTS: &[(&str, &str, &str, &str, &str)] = &[
        (
            "drop trigger session_reaper_update_password on auth_user",
            "triggers fail: ",
            "`session-reaper migrate`",
            "triggers.missing",
            "session-reaper migrate",
        ),
        (
            "alter table django_session disable trigger all",
            "triggers fail: ",
            "`session-reaper migrate`",
            "triggers.missing",
            "session-reaper migrate",
        ),
        (
            "drop view session_reaper.revocation_trail; alter table session_reaper.revocation alter column user_id type bigint",
            "triggers fail: ",
            "`session-reaper resume`",
            "keys.type",
            "session-reaper resume",
        ),
        (
            "alter table django_session rename to sessions",
            "tables fail: ",
            "django_session, which does not exist",
            "tables.unusable",
            "",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'sweep'",
            "functions warn: ",
            "sweep are of another release",
            "functions.differ",
            "session-reaper migrate",
        ),
        (
            "insert into session_reaper.pause (complete) values (true)",
            "pause warn: ",
            "`session-reaper resume`",
            "pause.on",
            "session-reaper resume",
        ),
        (
            "create publication everything for all tables",
            "publications warn: ",
            "subscribers hold session keys",
            "publications.all_tables",
            "",
        ),
        (
            "create publication everything for all tables; create table session_reaper.odd (a integer)",
            "publications fail: ",
            "odd in session_reaper has no replica identity",
            "publications.no_identity",
            "",
        ),
        (
            "do $$ begin execute format('alter database %I set session_replication_role = replica', current_database()); end $$",
            "replication warn: ",
            "every role",
            "replication.role_set",
            "",
        ),
        (
            "drop index django_session_expire_date_a5c62663",
            "expiry index warn: ",
            "create index concurrently on \"public\".\"django_session\" (\"expire_date\")",
            "expiry.no_index",
            "create index concurrently on \"public\".\"django_session\" (\"expire_date\")",
        ),
        (
            "create table basket (session_key varchar(40) references django_session deferrable initially deferred)",
            "references warn: ",
            "basket refers to",
            "references.keep",
            "",
        ),
        (
            "insert into django_session select i::text, '', now() - interval '1 day' from generate_series(1, 3) i;
            update session_reaper.purge set finished_at = now() - interval '5 hours'",
            "purge warn: ",
            "3 expired sessions wait, and the last purge ended 18",
            "purge.overdue",
            "session-reaper purge",
        ),
        (
            "update session_reaper.schema_history set version = 99 where version = 4",
            "schema fail: ",
            "install the newer release",
            "schema.differs",
            "",
        ),
        (
            "alter table auth_user drop constraint auth_user_pkey cascade",
            "tables fail: ",
            "no primary key",
            "tables.unusable",
            "",
        ),
        (
            "alter table session_reaper.user_session drop constraint user_session_of_user",
            "triggers fail: ",
            "does not refer to public.auth_user",
            "keys.no_reference",
            "session-reaper migrate",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'expiry'",
            "settings fail: ",
            "another expiry than the settings name now",
            "settings.other_expiry",
            "session-reaper migrate",
        ),
        (
            "update session_reaper.behaviour set digest = 'x' where name = 'site'",
            "triggers fail: ",
            "these settings name other tables or columns",
            "settings.other_site",
            "",
        ),
        (
            "alter table django_session set (autovacuum_enabled = false)",
            "autovacuum warn: ",
            "reset (autovacuum_enabled)",
            "autovacuum.off",
            "",
        ),
        (
            "insert into django_session select i::text, 'e30:1xVUK6:' || repeat('0', 43), now() + interval '100 years' from generate_series(1, 20) i",
            "expiry warn: ",
            "nothing is ever purged",
            "expiry.never",
            "",
        ),
        (
            "delete from session_reaper.purge; insert into django_session select i::text, 'e30:1xVUK6:' || repeat('0', 43), now() - interval '1 day' from generate_series(1, 20) i",
            "expiry warn: ",
            "all 20 sessions that were looked at have expired",
            "expiry.everything",
            "",
        ),
        (
            "insert into session_reaper.missed (what, sqlstate) values ('eviction', '42501')",
            "revocations fail: ",
            "could not be noted",
            "revocations.failing",
            "",
        ),
        (
            "insert into session_reaper.unreadable (reason, writes) values ('pickle', 3)",
            "linking warn: ",
            "pickle 3",
            "linking.unreadable",
            "",
        ),
        (
            instead_of!("pg_notification_queue_usage", "double precision", "select 0.2::double precision"),
            "queue warn: ",
            "20 % of the notification queue is in use",
            "queue.filling",
            "",
        ),
        (
            instead_of!("pg_notification_queue_usage", "double precision", "select 0.9::double precision"),
            "queue fail: ",
            "changes are no more told at once",
            "queue.full",
            "",
        ),
        (
            "set allow_system_table_mods = on;
            alter function pg_catalog.pg_notify(text, text) rename to real_pg_notify;
            create function pg_catalog.pg_notify(text, text) returns void language sql as ''",
            "notifications fail: ",
            "do not arrive although the connection is well",
            "notifications.not_delivered",
            "",
        ),
        (
            "do $$ begin execute format('alter database %I set session_reaper.rehash = on', current_database()); end $$",
            "triggers fail: ",
            "session_reaper.rehash is set for every role",
            "settings.of_role",
            "",
        ),
        (
            "drop function session_reaper.unfinished cascade",
            "triggers fail: ",
            "the function session_reaper.unfinished is missing",
            "functions.missing",
            "session-reaper migrate",
        ),
        (
            "alter table auth_user disable trigger user; alter table auth_user enable trigger user",
            "triggers fail: ",
            "was off for a while",
            "triggers.were_off",
            "session-reaper resume",
        ),
        (
            instead_of!("clock_timestamp", "timestamptz", "select pg_catalog.real_clock_timestamp() + make_interval(secs => 7)"),
            "clock warn: ",
            "s ahead of this machine's",
            "clock.skew",
            "",
        ),
        (
            instead_of!("inet_client_addr", "inet", "select inet '192.0.2.1'"),
            "encryption warn: ",
            "though it comes from 192.0.2.1",
            "encryption.none",
            "",
        ),
        (
            "create or replace function session_reaper.is_queue_full() returns boolean language sql as 'select true'",
            "linking warn: ",
            "no more is noted",
            "linking.queue_full",
            "session-reaper run",
        ),
        (
            "insert into session_reaper.unreadable (reason, writes) values ('pickle', 20)",
            "linking fail: ",
            "no session is linked to a user",
            "linking.links_nobody",
            "",
        ),
        (
            "with c as (insert into session_reaper.change (begun_at, at, stamps) values (now() - interval '5 minutes', now(), 3) returning id)
            insert into session_reaper.revocation (change_id, scope, user_id, reason, next_attempt_at) select c.id, 'user', -1, 'x', 'infinity' from c",
            "revocations warn: ",
            "1 open, the oldest for 300 s",
            "revocations.slow",
            "",
        ),
        (
            "insert into session_reaper.trouble (daemon, worker, since, attempts, sqlstate) values ('x', 'purger', now() - interval '1 minute', 3, '42501')",
            "workers fail: ",
            "purge",
            "workers.failing",
            "",
        ),
    ];

/// The role of the tests is a superuser, which is
/// worth knowing and no more.
#[tokio::test]
async fn each_ailment_is_found_by_its_check_with_what_to_do() {
    for (harm, finding, advice, id, mend) in AILMENTS {
        let database = Database::create().await;
        let _daemon = database.daemon().await;
        database.sessions_backfilled().await;
        let well = examine(&database).await;
        assert_eq!(well.code, Some(0));
        let known = ailments(&well);
        assert_eq!(known.len(), 2, "{known:?}");
        assert!(known[0].starts_with("role warn: postgres is a superuser"));
        assert!(known[1].starts_with("cache warn: none is named"));

        database.batch_execute(harm).await.unwrap();
        let ended = examine(&database).await;
        let found = ailments(&ended);
        assert!(
            found
                .iter()
                .any(|f| f.starts_with(finding) && f.contains(*advice)),
            "{harm}: {found:#?}"
        );
        let named = named(&ended, id);
        let named = named.unwrap_or_else(|| panic!("{harm}: {}", ended.stdout));
        let given = named["mend"].as_str().unwrap_or_default();
        assert!(given == *mend, "{harm}: {named}");
        assert_eq!(
            ended.code,
            Some(i32::from(finding.contains("fail"))),
            "{found:#?}"
        );
        assert_eq!(ended.stderr, "");
    }
}
