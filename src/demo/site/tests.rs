use tokio_postgres::NoTls;

use super::*;
use crate::demo::server::{Options, Server};

async fn connect(server: &Server) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

// The rest of the schema is not needed to log in.
const LINKS: &str = "create schema session_reaper;
    create table session_reaper.user_session (session_key varchar(40), user_id int)";

#[tokio::test]
async fn visitors_leave_sessions_that_read_like_djangos() {
    let server = Server::start(&Options::default()).unwrap();
    let client = connect(&server).await;
    create_tables(&client).await.unwrap();
    client.batch_execute(LINKS).await.unwrap();

    let users = sign_up(&client, &["alice".to_owned(), "bob".to_owned()])
        .await
        .unwrap();
    assert_eq!(users, [1, 2]);
    let keys = log_in(&client, &[1, 1, 2]).await.unwrap();
    let anonymous = visit(&client, 4).await.unwrap();
    abandon(&client, 1005).await.unwrap();
    assert!(has_expired(&client).await.unwrap());
    assert_eq!(
        count(&client, &[keys.clone(), anonymous].concat())
            .await
            .unwrap(),
        7
    );

    let row = client
        .query_one(
            "select session_data like 'eyJ%:______:%' and expire_date > now() + interval '13 days',
                    (select count(*) from django_session where expire_date < now()),
                    (select count(*) from session_reaper.user_session where user_id = 1)
             from django_session where session_key = $1",
            &[&keys[0]],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!((row.get::<_, i64>(1), row.get::<_, i64>(2)), (1005, 2));
}
