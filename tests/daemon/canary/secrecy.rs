//! The key of its session is in no log, whatever a run meets (P7).

use super::{connect, fails, settings};
use crate::stage::{Database, program::Daemon, start_server};

#[tokio::test]
async fn the_key_of_its_session_is_in_no_log_when_it_cannot_be_ended_or_opened() {
    let server = start_server(&["log_statement = all", "log_min_error_statement = error"]);
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0].to_string();
    database.migrate_with(&settings(Some(&user))).await;
    let forbid = "create function forbid() returns trigger language plpgsql as $$
        begin
            raise exception 'session % is precious', old.session_key;
        end $$;
        create trigger forbid before delete on django_session for each row execute function forbid()";
    database.batch_execute(forbid).await.unwrap();
    let variables = [
        ("SESSION_REAPER_CANARY_INTERVAL_S", "10"),
        ("SESSION_REAPER_CANARY_TIMEOUT_S", "1"),
        ("SESSION_REAPER_CANARY_USER", user.as_str()),
    ];
    let daemon = Daemon::start_with(database.url(), &[], &variables);
    fails(&database, "gone").await;
    let key = "select own_session from session_reaper.canary";
    let key: String = database.query_one(key, &[]).await.unwrap().get(0);
    // And one that a constraint of the site's refuses.
    let harm = connect(database.url()).await;
    harm.batch_execute(
        "drop trigger forbid on django_session;
         alter table django_session add check (session_data <> 'e30:0:0') not valid",
    )
    .await
    .unwrap();
    fails(&database, "session").await;
    daemon.says("the canary has failed").await;
    let log = server.log();
    assert!(log.contains("canary_look"), "the log is on");
    assert!(!log.contains("Failing row contains"), "{log}");
    for log in [log, daemon.log()] {
        assert!(!log.contains(&key), "{log}");
    }
}
