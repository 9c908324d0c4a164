//! Sessions that nobody links: the daemon reads them for their users (design section 5).

use std::time::Duration;

use session_reaper::{
    schema,
    settings::{Settings, Site},
};

use crate::stage::{
    Database,
    django::{data, data_of, exists, links, log_in, open, queued, read_table, save},
    server, wait_until,
};

#[tokio::test]
async fn a_session_that_nobody_linked_ends_and_one_that_was_opened_afterwards_stays() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let _daemon = database.daemon().await;
    let (old, other) = (
        log_in(&database, users[0]).await,
        log_in(&database, users[1]).await,
    );
    let cart = open(&database, &data(r#"{"cart":[1]}"#)).await;
    database.change_password(users[0]).await;
    let new = log_in(&database, users[0]).await;
    database.settled().await;
    assert!(!exists(&database, &old).await);
    for kept in [&new, &other, &cart] {
        assert!(exists(&database, kept).await);
    }
}

#[tokio::test]
async fn sessions_from_before_the_installation_end_too_however_late_they_are_read() {
    let database = Database::create_bare(server()).await;
    let users = database.users(2).await;
    let (old, other) = (
        log_in(&database, users[0]).await,
        log_in(&database, users[1]).await,
    );
    database.migrate().await;
    database.change_password(users[0]).await;
    assert!(
        exists(&database, &old).await,
        "nobody could know whose it is"
    );
    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(!exists(&database, &old).await);
    assert!(exists(&database, &other).await);
}

#[tokio::test]
async fn nothing_settles_before_all_sessions_from_before_the_installation_have_been_read() {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0];
    for _ in 0..5 {
        log_in(&database, user).await;
    }
    database.migrate().await;
    let mut settings = Settings::default();
    settings.link.batch_rows = 1;
    settings.link.pause_ratio = 1000.0;
    let daemon = database.daemon_with(settings).await;
    database.change_password(user).await;
    wait_until("it was revoked", || async {
        database
            .number("select count(*) from session_reaper.revocation where state = 'revoked'")
            .await
            == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(database.open_revocations().await, 1);
    daemon.stop().await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(
        database.number("select count(*) from django_session").await,
        0
    );
}

#[tokio::test]
async fn a_login_that_is_still_open_at_the_change_is_read_when_it_has_committed() {
    let database = Database::create().await;
    read_table(&database).await;
    let users = database.users(2).await;
    let (user, other) = (users[0], users[1]);
    let _daemon = database.daemon().await;
    let mut app = database.connect().await;
    let login = app.transaction().await.unwrap();
    let key = "slow0000slow0000slow0000slow0000".to_owned();
    login
        .execute(
            "insert into django_session values ($1, $2, now() + interval '14 days')",
            &[&key, &data_of(user)],
        )
        .await
        .unwrap();
    // Read while that one is open, so that the daemon has to come back to it.
    log_in(&database, other).await;
    wait_until("the other is linked", || async {
        links(&database).await == 1
    })
    .await;
    database.change_password(user).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.open_revocations().await, 1);
    login.commit().await.unwrap();
    database.settled().await;
    assert!(!exists(&database, &key).await);
}

#[tokio::test]
async fn a_writer_that_stays_open_keeps_nobody_elses_session_from_being_read() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let mut app = database.connect().await;
    let open_for_an_hour = app.transaction().await.unwrap();
    open_for_an_hour
        .execute(
            "insert into django_session values ('held', $1, now() + interval '1 day')",
            &[&data_of(user)],
        )
        .await
        .unwrap();
    for _ in 0..20 {
        log_in(&database, user).await;
    }
    wait_until("the others are linked", || async {
        links(&database).await == 20
    })
    .await;
    assert_eq!(queued(&database).await, 0);
    open_for_an_hour.commit().await.unwrap();
    wait_until("this one, too", || async { links(&database).await == 21 }).await;
}

#[tokio::test]
async fn a_save_that_leaves_the_data_alone_is_not_noted() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let key = log_in(&database, user).await;
    assert_eq!(queued(&database).await, 2);
    let statement = "update django_session
        set session_data = split_part(session_data, ':', 1) || ':1xVUZZ:other', expire_date = now() + interval '15 days'
        where session_key = $1";
    database.execute(statement, &[&key]).await.unwrap();
    assert_eq!(queued(&database).await, 2);
}

#[tokio::test]
async fn a_crowd_of_anonymous_visitors_leaves_neither_links_nor_a_queue() {
    let database = Database::create().await;
    database
        .execute(
            "insert into django_session select md5(g::text), $1, now() + interval '1 day' from generate_series(1, 5000) g",
            &[&data(r#"{"csrf":"x"}"#)],
        )
        .await
        .unwrap();
    assert_eq!(queued(&database).await, 5000);
    let _daemon = database.daemon().await;
    wait_until("they have been read", || async {
        queued(&database).await == 0
    })
    .await;
    assert_eq!(links(&database).await, 0);
}

#[tokio::test]
async fn a_queue_that_is_full_fails_no_save_and_all_sessions_are_read_afterwards() {
    let database = Database::create_bare(server()).await;
    let full = Site {
        queue_mb: 1,
        ..Site::default()
    };
    schema::migrate(&database.target(), &full).await.unwrap();
    read_table(&database).await;
    let users = database.users(2).await;
    let bots = "insert into django_session
        select md5(g::text || random()), $1, now() + interval '1 day' from generate_series(1, 12000) g";
    let cart = data(r#"{"cart":[1]}"#);
    database.execute(bots, &[&cart]).await.unwrap();
    let noted = queued(&database).await;
    assert!(noted < 12_000, "{noted} noted in a megabyte");
    let unnoted = log_in(&database, users[0]).await;
    let other = log_in(&database, users[1]).await;
    assert_eq!(queued(&database).await, noted);

    database.change_password(users[0]).await;
    let mut settings = Settings::default();
    settings.site.queue_mb = 1;
    let _daemon = database.daemon_with(settings).await;
    database.settled().await;
    assert!(!exists(&database, &unnoted).await);
    assert!(exists(&database, &other).await);
    let size = "select pg_relation_size('session_reaper.pending_link')";
    assert!(
        database.number(size).await < 1 << 20,
        "it takes writes again"
    );
}

#[tokio::test]
async fn a_publication_for_all_tables_does_not_keep_the_queue_from_being_emptied() {
    let database = Database::create().await;
    database
        .batch_execute("create publication everything for all tables")
        .await
        .unwrap();
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let key = log_in(&database, user).await;
    database.change_password(user).await;
    database.settled().await;
    assert!(!exists(&database, &key).await);
    wait_until("it has been read", || async {
        queued(&database).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_locked_user_postpones_only_his_own_session() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let mut app = database.connect().await;
    let holder = app.transaction().await.unwrap();
    holder
        .execute(
            "select from auth_user where id = $1 for update",
            &[&users[0]],
        )
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    log_in(&database, users[0]).await;
    log_in(&database, users[1]).await;
    wait_until("the other one is linked", || async {
        links(&database).await == 1
    })
    .await;
    holder.commit().await.unwrap();
    wait_until("he is linked", || async { links(&database).await == 2 }).await;
    assert_eq!(queued(&database).await, 0);
}

#[tokio::test]
async fn a_user_who_is_deleted_takes_along_sessions_that_nobody_had_read() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let (gone, stays) = (
        log_in(&database, users[0]).await,
        log_in(&database, users[1]).await,
    );
    database
        .execute("delete from auth_user where id = $1", &[&users[0]])
        .await
        .unwrap();
    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(!exists(&database, &gone).await);
    assert!(exists(&database, &stays).await);
}

#[tokio::test]
async fn a_session_that_its_user_has_left_is_nobodys() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let key = log_in(&database, user).await;
    wait_until("it is linked", || async { links(&database).await == 1 }).await;
    save(&database, &key, &data(r#"{"cart":[2]}"#)).await;
    wait_until("it is nobody's", || async { links(&database).await == 0 }).await;
    database.change_password(user).await;
    database.settled().await;
    assert!(exists(&database, &key).await);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_keeps_nothing_from_settling() {
    let database = Database::create().await;
    // Or what is read from the table as well counts twice.
    read_table(&database).await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    for strange in [
        "gAWVDAAAAAAAAAB9lC4=".to_owned(),
        "not base64 at all".to_owned(),
        data(r#"{"_auth_user_id":"no number"}"#),
        data(r#"{"_auth_user_id":"2000000000"}"#),
        data(r#"{"_auth_user_id":"99999999999999999999"}"#),
    ] {
        open(&database, &strange).await;
    }
    let key = log_in(&database, user).await;
    database.change_password(user).await;
    database.settled().await;
    assert!(!exists(&database, &key).await);
    let writes = "select sum(writes)::bigint from session_reaper.unreadable";
    assert_eq!(database.number(writes).await, 5);
    let keys =
        "select sum(writes)::bigint from session_reaper.unreadable where reason = 'no_user_key'";
    assert_eq!(database.number(keys).await, 2);
}

#[tokio::test]
async fn link_reads_everything_at_once_and_status_says_when_it_has() {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0];
    for _ in 0..3 {
        log_in(&database, user).await;
    }
    database.migrate().await;
    let run =
        |arguments: &'static [&'static str]| crate::stage::program::run(database.url(), arguments);
    let before: serde_json::Value =
        serde_json::from_str(&run(&["status", "--json"]).await.stdout).unwrap();
    assert_eq!(before["linking"]["backfilled"], false);
    let done = run(&["link"]).await;
    assert!(
        done.assert_done()
            .starts_with("every session has been read, 3 in all")
    );
    assert_eq!(links(&database).await, 3);
    let after: serde_json::Value =
        serde_json::from_str(&run(&["status", "--json"]).await.stdout).unwrap();
    assert_eq!(after["linking"]["backfilled"], true);
}

/// Or a login during the first reading would be taken for one from before the installation.
#[tokio::test]
async fn what_is_in_the_queue_is_not_read_from_the_table() {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0];
    log_in(&database, user).await;
    database.migrate().await;
    log_in(&database, user).await;
    database
        .batch_execute("begin; select session_reaper.claim_page(10)")
        .await
        .unwrap();
    assert_eq!(
        database
            .number("select count(*) from session_reaper.page p, session_reaper.page(p.id)")
            .await,
        1
    );
}

/// The queue was read between the two writes of the login, and the table has not been read yet.
#[tokio::test]
async fn a_login_whose_first_write_was_read_alone_is_no_older_than_the_second() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let mut settings = Settings::default();
    settings.link.pause_ratio = 1000.0;
    settings.link.batch_rows = 1;
    for _ in 0..5 {
        log_in(&database, user).await;
    }
    database
        .batch_execute("select session_reaper.backfill_again('asked for')")
        .await
        .unwrap();
    database.change_password(user).await;
    let daemon = database.daemon_with(settings).await;
    let key = open(&database, &data("{}")).await;
    wait_until("it has been read", || async {
        queued(&database).await == 0
    })
    .await;
    save(&database, &key, &data_of(user)).await;
    daemon.stop().await;
    let _daemon = database.daemon().await;
    database.settled().await;
    assert!(exists(&database, &key).await);
    assert_eq!(
        database.number("select count(*) from django_session").await,
        1
    );
}

#[tokio::test]
async fn a_credential_version_counts_for_a_session_that_was_read_already() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let version: String = database
        .query_one("select session_reaper.credential_version($1)", &[&user])
        .await
        .unwrap()
        .get(0);
    database.change_password(user).await;
    let _daemon = database.daemon().await;
    let key = log_in(&database, user).await;
    wait_until("it is linked", || async { links(&database).await == 1 }).await;
    database.settled().await;
    assert!(exists(&database, &key).await);
    database
        .execute(
            "select session_reaper.link_session($1, $2, $3)",
            &[&key, &user, &version],
        )
        .await
        .unwrap();
    wait_until("it ends", || async { !exists(&database, &key).await }).await;
}

#[tokio::test]
async fn a_session_that_the_app_is_linking_itself_postpones_no_other() {
    let database = Database::create().await;
    read_table(&database).await;
    let users = database.users(2).await;
    let key = log_in(&database, users[0]).await;
    let mut app = database.connect().await;
    let linking = app.transaction().await.unwrap();
    linking
        .execute(
            "insert into session_reaper.user_session (session_key, user_id) values ($1, $2)",
            &[&key, &users[0]],
        )
        .await
        .unwrap();
    let other = log_in(&database, users[1]).await;
    let _daemon = database.daemon().await;
    wait_until("the other is linked", || async {
        links(&database).await == 1
    })
    .await;
    linking.rollback().await.unwrap();
    wait_until("so is this one", || async { links(&database).await == 2 }).await;
    database.change_password(users[1]).await;
    database.settled().await;
    assert!(!exists(&database, &other).await);
}

#[tokio::test]
async fn an_app_may_link_a_session_that_was_read_already() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let daemon = database.daemon().await;
    let key = log_in(&database, user).await;
    wait_until("it is linked", || async { links(&database).await == 1 }).await;
    daemon.stop().await;
    database.served_by(0).await;
    database
        .execute(
            "insert into session_reaper.user_session (session_key, user_id) values ($1, $2)",
            &[&key, &user],
        )
        .await
        .unwrap();
    let own = "select count(*) from session_reaper.user_session where not from_data";
    assert_eq!(database.number(own).await, 1);
    database.change_password(user).await;
    assert!(!exists(&database, &key).await, "ended inside (P4)");
}

/// What piled up while there was no daemon takes its time; a revocation does not wait for it, and settles only after it.
#[tokio::test]
async fn a_long_queue_holds_up_no_revocation_of_what_is_linked() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let linked = database.log_in(user, 2).await;
    database
        .batch_execute(
            "insert into session_reaper.pending_link (session_key, was_there)
             select md5(n::text), false from generate_series(1, 20000) n",
        )
        .await
        .unwrap();
    let mut settings = Settings::default();
    settings.link.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;
    database.change_password(user).await;
    wait_until("the linked sessions are gone", async || {
        database.count(&linked).await == 0
    })
    .await;
    assert!(queued(&database).await > 0);
    assert_eq!(database.open_revocations().await, 1);
}

/// Or the writes that nobody noted would be forgotten between the reading of the queue and its emptying (P1).
#[tokio::test]
async fn a_queue_that_was_full_stays_full_for_a_vacuum_until_all_sessions_are_read_again() {
    let database = Database::create_bare(server()).await;
    let full = Site {
        queue_mb: 1,
        ..Site::default()
    };
    schema::migrate(&database.target(), &full).await.unwrap();
    let fill = "insert into django_session
        select md5(g::text), $1, now() + interval '1 day' from generate_series(1, 12000) g";
    let cart = data(r#"{"cart":[1]}"#);
    database.execute(fill, &[&cart]).await.unwrap();
    for cleaned in [
        "delete from session_reaper.pending_link",
        "vacuum session_reaper.pending_link",
    ] {
        database.batch_execute(cleaned).await.unwrap();
    }
    let is_full = "select session_reaper.is_queue_full()::integer::bigint";
    assert_eq!(database.number(is_full).await, 1);
}

/// A reader that dies, or takes its time, holds one page, and the reading is not complete without it.
#[tokio::test]
async fn a_page_that_somebody_has_in_hand_is_passed_over_and_not_forgotten() {
    let database = Database::create_bare(server()).await;
    let user = database.users(1).await[0];
    for _ in 0..10 {
        log_in(&database, user).await;
    }
    database.migrate().await;
    let claim = "select session_reaper.claim_page(2)";
    database.batch_execute(claim).await.unwrap();
    let mut other = database.connect().await;
    let dying = other.transaction().await.unwrap();
    dying.batch_execute(claim).await.unwrap();
    let _daemon = database.daemon_with(Settings::default()).await;
    wait_until("the other pages are read", || async {
        links(&database).await == 8
    })
    .await;
    let complete = "select complete::integer::bigint from session_reaper.backfill";
    assert_eq!(database.number(complete).await, 0);
    dying.rollback().await.unwrap();
    wait_until("the reading is complete", || async {
        database.number(complete).await == 1
    })
    .await;
    assert_eq!(links(&database).await, 10);
}

/// The link still says whose it was; only the data, behind a long queue, say that he has left (P2).
#[tokio::test]
async fn a_session_that_its_user_has_left_stays_though_nobody_has_read_that_yet() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let daemon = database.daemon().await;
    let (left, stays) = (log_in(&database, user).await, log_in(&database, user).await);
    database.sessions_backfilled().await;
    daemon.stop().await;
    database
        .batch_execute(
            "insert into session_reaper.pending_link (session_key, was_there)
             select md5(n::text), false from generate_series(1, 5000) n",
        )
        .await
        .unwrap();
    save(&database, &left, &data(r#"{"cart":[2]}"#)).await;
    let mut settings = Settings::default();
    settings.link.batch_rows = 10;
    let _daemon = database.daemon_with(settings).await;
    database.change_password(user).await;
    wait_until("the other one is gone", async || {
        !exists(&database, &stays).await
    })
    .await;
    assert!(exists(&database, &left).await);
    database.settled().await;
    assert!(exists(&database, &left).await);
}

/// Or whoever saves his session faster than the queue is read could keep it.
#[tokio::test]
async fn a_session_that_is_saved_all_the_time_ends() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let key = log_in(&database, user).await;
    database.sessions_backfilled().await;
    let saving = {
        let (client, key) = (database.connect().await, key.clone());
        tokio::spawn(async move {
            for cart in 0.. {
                let data = data(&format!(r#"{{"_auth_user_id":"{user}","cart":[{cart}]}}"#));
                let save = "update django_session set session_data = $2 where session_key = $1";
                if client.execute(save, &[&key, &data]).await.unwrap() == 0 {
                    break;
                }
            }
        })
    };
    database.change_password(user).await;
    database.settled().await;
    assert!(!exists(&database, &key).await);
    saving.await.unwrap();
}
