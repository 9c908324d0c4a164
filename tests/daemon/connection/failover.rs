//! A server that takes no writes any more, and another one that does: the daemon follows (P3).

use session_reaper::{
    connection::Target,
    demo::{
        server::{Server, Shutdown},
        site,
    },
    settings::Settings,
};
use tokio_postgres::Client;

use crate::stage::{
    Database, connect, impatient_target,
    standby::{promote, replicated},
    start_server, without_polling,
};

fn watchful() -> Settings {
    let mut settings = without_polling();
    settings.listen.heartbeat_s = 1;
    settings
}

/// Both servers in one connection string: the driver looks for the one that takes writes.
fn either(primary: &Server, standby: &Server, database: &Database) -> Target {
    let (first, second) = (
        primary.socket_dir().display(),
        standby.socket_dir().display(),
    );
    impatient_target(&format!(
        "postgresql:///{}?host={first},{second}&port={},{}&user=postgres",
        database.name(),
        primary.port(),
        standby.port()
    ))
}

#[tokio::test]
async fn after_a_failover_the_daemon_follows_and_honours_what_was_replicated() {
    let mut primary = start_server(&[]);
    let mut database = Database::create_on(&primary).await;
    let standby = primary.standby().unwrap();
    let users = database.users(3).await;
    let sessions = site::log_in(&database.client, &users).await.unwrap();
    let _daemon = database
        .daemon_at(watchful(), either(&primary, &standby, &database))
        .await;

    // A locked session keeps the first change from being settled before the failover.
    let mut app = database.connect().await;
    let request = app.transaction().await.unwrap();
    request
        .execute("select from django_session for update", &[])
        .await
        .unwrap();
    database.change_password(users[0]).await;
    let successor = connect(&standby.url(database.name())).await;
    replicated(&database.client, &successor).await;
    primary.stop(Shutdown::Immediate).unwrap();
    promote(&successor).await;
    database.client = successor;

    database.change_password(users[1]).await;
    database.served_by(1).await;
    database.change_password(users[2]).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// Some clouds swap the roles of two servers and close no connection.
#[tokio::test]
async fn a_demoted_primary_that_keeps_its_connections_is_left_for_the_new_one() {
    let primary = start_server(&[]);
    let mut database = Database::create_on(&primary).await;
    let standby = primary.standby().unwrap();
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let _daemon = database
        .daemon_at(watchful(), either(&primary, &standby, &database))
        .await;
    let successor = connect(&standby.url(database.name())).await;
    replicated(&database.client, &successor).await;

    make_read_only(&database.client, true).await;
    promote(&successor).await;
    database.client = successor;
    database.served_by(1).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

/// Nothing is restarted, no connection is closed, and there is no other server to turn to.
#[tokio::test]
async fn a_server_that_is_read_only_for_a_while_is_not_served_meanwhile_and_served_again_afterwards()
 {
    let server = start_server(&[]);
    let database = Database::create_on(&server).await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 3).await;
    let mut settings = watchful();
    settings.listen.poll_interval_s = 1;
    let _daemon = database.daemon_with(settings).await;

    make_read_only(&database.client, true).await;
    database.served_by(0).await;
    // A session may still write if it says so, and then it has to do the daemon's work (P4).
    database
        .batch_execute("set default_transaction_read_only = off")
        .await
        .unwrap();
    let mut app = database.connect().await;
    let request = app
        .build_transaction()
        .read_only(false)
        .start()
        .await
        .unwrap();
    request
        .execute(
            "select from django_session where session_key = $1 for update",
            &[&sessions[0]],
        )
        .await
        .unwrap();
    database.change_password(user).await;
    request.commit().await.unwrap();
    assert_eq!(database.count(&sessions).await, 1);

    make_read_only(&database.client, false).await;
    database.served_by(1).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

async fn make_read_only(client: &Client, on: bool) {
    client
        .batch_execute(&format!(
            "alter system set default_transaction_read_only = {on}"
        ))
        .await
        .unwrap();
    client
        .batch_execute("select pg_reload_conf()")
        .await
        .unwrap();
}
