//! Revocations that something of the site's keeps open, which only the site can mend.

use super::open::wait_for_horizons;
use crate::stage::{
    Database,
    figures::{Said::Exactly, assert_moved, metrics},
    server_with_two_phase_commit, wait_until,
};

#[tokio::test]
async fn a_prepared_transaction_and_a_session_that_cannot_be_ended_keep_revocations_open() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let users = database.users(2).await;
    let precious = database.log_in(users[1], 1).await;
    let forbid = format!(
        "create function forbid() returns trigger language plpgsql as 'begin raise exception ''no''; end';
         create trigger forbid before delete on django_session for each row
             when (old.session_key = '{}') execute function forbid()",
        precious[0]
    );
    database.batch_execute(&forbid).await.unwrap();
    let before = metrics(&database).await;
    let app = database.connect().await;
    let prepare = format!(
        "begin; select pg_current_xact_id(); prepare transaction '{}'",
        database.name()
    );
    app.batch_execute(&prepare).await.unwrap();
    let daemon = database.daemon().await;
    for user in users {
        database.change_password(user).await;
    }
    wait_for_horizons(&database, 2).await;
    let failing = "select count(*) from session_reaper.revocation where last_error = 'P0001'";
    wait_until("the other one fails", || async {
        database.number(failing).await == 1
    })
    .await;
    daemon.stop().await;
    let waiting = metrics(&database).await;
    assert_moved(
        &before,
        &waiting,
        &[
            (
                "blocking_transactions{kind=prepared}",
                Exactly(0.0),
                Exactly(1.0),
            ),
            (
                "open_revocations{state=revoked}",
                Exactly(0.0),
                Exactly(2.0),
            ),
            ("failing_revocations", Exactly(0.0), Exactly(1.0)),
        ],
    );
    let over = format!("rollback prepared '{}'", database.name());
    app.batch_execute(&over).await.unwrap();
    let allow = "drop trigger forbid on django_session";
    database.batch_execute(allow).await.unwrap();
    let daemon = database.daemon().await;
    database.settled().await;
    daemon.stop().await;
    assert_moved(
        &waiting,
        &metrics(&database).await,
        &[
            (
                "blocking_transactions{kind=prepared}",
                Exactly(1.0),
                Exactly(0.0),
            ),
            ("failing_revocations", Exactly(1.0), Exactly(0.0)),
        ],
    );
}
