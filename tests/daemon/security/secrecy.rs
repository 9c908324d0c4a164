//! Session keys stay out of every log, whatever goes wrong (P7).

use session_reaper::{
    connection::Error,
    demo::{server::Shutdown, site},
};

use crate::stage::{
    Database,
    binary::{Binary, EAGER},
    connect,
    hold::{make_deleting_slow, wait_for_a_batch_in_hand},
    start_server, wait_until,
};

/// Everything that can go wrong has gone wrong here, and a key is a bearer credential (P7).
#[tokio::test]
async fn no_session_key_is_in_the_server_log_after_all_that() {
    let mut server = start_server(&["log_min_messages = info", "log_min_error_statement = error"]);
    let mut database = Database::create_on(&server).await;
    let users = database.users(20).await;
    let mut sessions = site::log_in(&database.client, &users).await.unwrap();
    make_deleting_slow(&database).await;
    let mut daemon = Binary::run(database.url(), &EAGER);
    database.served_by(1).await;
    database
        .execute("update auth_user set password = 'reset'", &[])
        .await
        .unwrap();
    wait_for_a_batch_in_hand(&database).await;
    // Ended in the middle of a statement by an administrator, by a kill, and by a crash of the server.
    database
        .batch_execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'session-reaper'",
        )
        .await
        .unwrap();
    wait_for_a_batch_in_hand(&database).await;
    database
        .batch_execute(
            "select pg_cancel_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'session-reaper'",
        )
        .await
        .unwrap();
    wait_for_a_batch_in_hand(&database).await;
    daemon.kill();
    server.stop(Shutdown::Immediate).unwrap();
    server.start_again().unwrap();
    database.client = connect(database.url()).await;
    database
        .batch_execute(
            "delete from hold;
            create function forbid() returns trigger language plpgsql as $$
            begin
                raise exception 'session % is precious', old.session_key;
            end $$;
            create trigger forbid before delete on django_session for each row execute function forbid()",
        )
        .await
        .unwrap();
    let daemon = Binary::run(database.url(), &EAGER);
    database.served_by(1).await;
    wait_until("the objection is noted", || async {
        database
            .number("select count(*) from session_reaper.revocation where last_error is not null")
            .await
            == 20
    })
    .await;
    sessions.extend(site::log_in(&database.client, &users).await.unwrap());
    database.change_password(users[0]).await;
    database
        .batch_execute("drop trigger forbid on django_session")
        .await
        .unwrap();
    database.settled().await;

    let log = server.log();
    assert!(log.contains("terminating connection"), "the log is on");
    for key in &sessions {
        assert!(!log.contains(key), "{key} is in the server's log:\n{log}");
        assert!(!daemon.log().contains(key), "{key} is in the daemon's log");
    }
}

/// Under whatever SQLSTATE it is raised.
#[tokio::test]
async fn what_a_trigger_of_the_sites_says_is_not_repeated() {
    let database = Database::create().await;
    for code in ["P0001", "23514", "ZZ001"] {
        let raise = format!(
            "do $$ begin raise exception 'session abcdef is precious' using errcode = '{code}'; end $$"
        );
        let error = database.client.batch_execute(&raise).await.unwrap_err();
        let said = Error::from(error).to_string();
        assert!(!said.contains("abcdef"), "{code}: {said}");
        assert!(said.contains("raised an error"), "{code}: {said}");
    }
}

/// A login whose link would be lost fails, since its session would outlive every change, and says nothing of the key.
#[tokio::test]
async fn a_link_that_is_refused_does_not_put_its_key_into_the_log() {
    let server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let link = "select session_reaper.link_session($1::text::varchar, $2)";
    for (code, refusal) in [
        (
            "23514",
            "alter table session_reaper.user_session add constraint refusal check (user_id < 0) not valid",
        ),
        (
            "ZZ001",
            "alter table session_reaper.user_session drop constraint refusal;
            create function refuse() returns trigger language plpgsql as $$
            begin
                raise exception 'session % is precious', new.session_key using errcode = 'ZZ001';
            end $$;
            create trigger refuse before insert on session_reaper.user_session
                for each row execute function refuse()",
        ),
    ] {
        database.batch_execute(refusal).await.unwrap();
        let session = site::visit(&database.client, 1).await.unwrap().remove(0);
        let error = database.query(link, &[&session, &user]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), code, "{error}");
        assert!(!format!("{error:?}").contains(&session), "{error:?}");
        let log = server.log();
        assert!(!log.contains(&session), "{log}");
        assert!(log.contains("session-reaper could not link"), "{log}");
    }
}
