//! How old a session is that several transactions wrote before, or after, it was read for its user: the age rule has to
//! hold whichever of them brought the user (P1).

use crate::stage::{Database, begun, django::read_table, server, server_with_two_phase_commit};

const OPEN: &str = "insert into django_session values ('key', $1, now() + interval '1 day')";
const SAVE: &str = "update django_session set session_data = $1 where session_key = 'key'";

/// What Django writes, with nothing but the user in it: unsigned, since nobody checks that.
async fn data(database: &Database, user: i32, seen: i32) -> String {
    let statement = "select translate(encode(convert_to(
        format('{\"_auth_user_id\":\"%s\",\"seen\":%s}', $1::integer, $2::integer), 'UTF8'), 'base64'), E'+/=\\n', '-_')
        || ':1tkLwQ:signature'";
    let row = database.query_one(statement, &[&user, &seen]).await;
    row.unwrap().get(0)
}

/// A site whose table has been read, since it is empty.
async fn site(database: &Database) -> i32 {
    read_table(database).await;
    database.users(1).await[0]
}

/// As the daemon does once a second.
async fn read(database: &Database, user: i32) {
    let statement = "with taken as materialized (
            select array_agg(u.place) as places, (array_agg(u.seen))[1] as seen
            from session_reaper.take_pending_links(100, false) u)
        select session_reaper.link_pending(
            places, array_fill('u'::\"char\", array[cardinality(places)]),
            array_fill(convert_to($1, 'UTF8'), array[cardinality(places)]), seen)
        from taken";
    let user = user.to_string();
    let client = database.connect().await;
    client.query(statement, &[&user]).await.unwrap();
}

async fn is_ended(database: &Database) -> bool {
    let daemon = database.daemon().await;
    database.settled().await;
    daemon.stop().await;
    database.count(&["key".to_owned()]).await == 0
}

/// Whether what is opened is ended by a transaction that began before, saves it and changes the password.
async fn ended_by_a_changing_transaction_that_saves_it(reads_between: bool) -> bool {
    let database = Database::create_on(server()).await;
    let user = site(&database).await;
    let changing = begun(&database, "begin").await;
    let opened = data(&database, user, 1).await;
    database.execute(OPEN, &[&opened]).await.unwrap();
    // A daemon seems to serve, or the changing transaction would end by itself what has been read.
    let serving = "select pg_advisory_lock_shared(1397903442, 1)";
    database.batch_execute(serving).await.unwrap();
    if reads_between {
        read(&database, user).await;
    }
    let saved = data(&database, user, 2).await;
    changing.execute(SAVE, &[&saved]).await.unwrap();
    let change = "update auth_user set password = 'another' where id = $1";
    changing.execute(change, &[&user]).await.unwrap();
    changing.batch_execute("commit").await.unwrap();
    is_ended(&database).await
}

#[tokio::test]
async fn a_changing_transaction_does_not_keep_a_session_that_it_only_saved() {
    assert!(ended_by_a_changing_transaction_that_saves_it(false).await);
}

#[tokio::test]
async fn nor_one_that_had_been_read_before() {
    assert!(ended_by_a_changing_transaction_that_saves_it(true).await);
}

#[tokio::test]
async fn a_changing_transaction_keeps_what_it_opened_though_that_is_saved_again_before_it_is_read()
{
    let database = Database::create_on(server()).await;
    let user = site(&database).await;
    let changing = begun(&database, "begin").await;
    let change = "update auth_user set password = 'another' where id = $1";
    changing.execute(change, &[&user]).await.unwrap();
    let opened = data(&database, user, 1).await;
    changing.execute(OPEN, &[&opened]).await.unwrap();
    changing.batch_execute("commit").await.unwrap();
    let saved = data(&database, user, 2).await;
    database.execute(SAVE, &[&saved]).await.unwrap();
    assert!(!is_ended(&database).await);
}

/// The login cannot see the change, which is prepared; the save can, and began before the login.
#[tokio::test]
async fn a_save_does_not_lend_its_sight_to_a_session_that_was_read_before() {
    let database = Database::create_on(server_with_two_phase_commit()).await;
    let user = site(&database).await;
    let changing = begun(&database, "begin").await;
    let change = "update auth_user set password = 'another' where id = $1";
    changing.execute(change, &[&user]).await.unwrap();
    let gid = format!("{}_change", database.name());
    let prepare = format!("prepare transaction '{gid}'");
    changing.batch_execute(&prepare).await.unwrap();
    let saving = begun(&database, "begin").await;
    let login = begun(&database, "begin isolation level repeatable read").await;
    let opened = data(&database, user, 1).await;
    login.execute(OPEN, &[&opened]).await.unwrap();
    login.batch_execute("commit").await.unwrap();
    read(&database, user).await;
    let publish = format!("commit prepared '{gid}'");
    database.batch_execute(&publish).await.unwrap();
    let saved = data(&database, user, 2).await;
    saving.execute(SAVE, &[&saved]).await.unwrap();
    saving.batch_execute("commit").await.unwrap();
    assert!(is_ended(&database).await);
}
