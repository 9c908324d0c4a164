//! Sessions that changed hands while nobody noted what was written: when the table is read anew, they are their new
//! users' (P1), and their old ones' no more (P2).

use session_reaper::{
    schema,
    settings::{Settings, Site},
};

use crate::{
    express::{change_password, express, left, links, open, save},
    reading::{self, data, data_of, exists},
    stage::{Database, server, wait_until},
};

const ANONYMOUS: &str = r#"{"cookie":{}}"#;

fn of(member: i64) -> String {
    format!(r#"{{"cookie":{{}},"passport":{{"user":{member}}}}}"#)
}

async fn pause(database: &Database, site: &Site) {
    schema::pause(&database.target(), site).await.unwrap();
}

async fn resume(database: &Database, site: &Site) {
    schema::resume(&database.target(), site).await.unwrap();
}

/// All that a link says of its age.
async fn age(database: &Database, key: &str) -> String {
    let age = "select concat_ws(' ', xid, begun_at, snapshot, linked_at, read, user_id)
        from session_reaper.user_session where session_key = $1";
    database.query_one(age, &[&key]).await.unwrap().get(0)
}

async fn installed() -> (Database, Settings) {
    let (database, settings) = express(server()).await;
    database.migrate_with(&settings).await;
    let daemon = database.daemon_with(settings.clone()).await;
    database.sessions_read().await;
    daemon.stop().await;
    (database, settings)
}

#[tokio::test]
async fn a_session_that_changed_hands_during_a_pause_is_its_new_users_and_no_longer_its_old_ones() {
    for changes in [2, 1] {
        let (database, settings) = installed().await;
        for sid in ["handed", "left", "same", "by_app"] {
            open(&database, sid, &of(1)).await;
        }
        let by_app = "select session_reaper.link_session('by_app', 1)";
        database.batch_execute(by_app).await.unwrap();
        let ages = [age(&database, "same").await, age(&database, "by_app").await];
        pause(&database, &settings.site).await;
        for sid in ["handed", "left"] {
            save(&database, sid, ANONYMOUS).await;
        }
        save(&database, "handed", &of(2)).await;
        save(&database, "by_app", ANONYMOUS).await;
        save(&database, "same", r#"{"cart":[1],"passport":{"user":1}}"#).await;
        resume(&database, &settings.site).await;

        let _daemon = database.daemon_with(settings).await;
        database.sessions_read().await;
        assert_eq!(links(&database).await, "by_app=1 handed=2 same=1");
        let now = [age(&database, "same").await, age(&database, "by_app").await];
        assert_eq!(now, ages);
        change_password(&database, changes).await;
        database.settled().await;
        let expected = ["handed left", "by_app left same"][usize::try_from(changes).unwrap() - 1];
        assert_eq!(left(&database).await, expected);
    }
}

/// And where the daemon has to read what was written.
#[tokio::test]
async fn a_session_that_changed_hands_while_its_trigger_was_off_is_its_new_users() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let daemon = database.daemon().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(reading::log_in(&database, users[0]).await);
    }
    database.sessions_read().await;
    daemon.stop().await;
    let same = age(&database, &keys[2]).await;
    let off = "alter table django_session disable trigger \"A_session_reaper_session_saved\"";
    database.batch_execute(off).await.unwrap();
    for (key, data) in [(&keys[0], data_of(users[1])), (&keys[1], data("{}"))] {
        let save = "update django_session set session_data = $2 where session_key = $1";
        database.execute(save, &[key, &data]).await.unwrap();
    }
    database.migrate().await;

    let _daemon = database.daemon().await;
    assert_eq!(reading::links(&database).await, 2);
    assert_eq!(age(&database, &keys[2]).await, same);
    database.change_password(users[0]).await;
    database.settled().await;
    assert_eq!(database.count(&keys[..2]).await, 2);
    assert!(!exists(&database, &keys[2]).await);
    database.change_password(users[1]).await;
    database.settled().await;
    assert!(!exists(&database, &keys[0]).await);
    assert!(exists(&database, &keys[1]).await);
}

/// Whoever logs in meanwhile is not taken for nobody because of what stood there a moment ago.
#[tokio::test]
async fn what_is_written_after_a_page_has_been_read_is_not_forgotten() {
    for committed in [true, false] {
        let (database, settings) = installed().await;
        open(&database, "back", &of(1)).await;
        pause(&database, &settings.site).await;
        save(&database, "back", ANONYMOUS).await;
        resume(&database, &settings.site).await;

        let mut reader = database.connect().await;
        let page = reader.transaction().await.unwrap();
        let claim = "select c.id from session_reaper.claim_page(10) c";
        let id: i64 = page.query_one(claim, &[]).await.unwrap().get(0);
        let read = "select p.digest, sha256(p.data) from session_reaper.page($1) p";
        let row = page.query_one(read, &[&id]).await.unwrap();
        let (digest, seen): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
        let mut app = database.connect().await;
        let login = app.transaction().await.unwrap();
        let save = "update session set sess = $1::text::json where sid = 'back'";
        login.execute(save, &[&of(1)]).await.unwrap();
        let login = if committed {
            login.commit().await.unwrap();
            None
        } else {
            Some(login)
        };
        let link = "select session_reaper.link_page($1, array[$2::bytea], array[null::bytea], array[$3::bytea])";
        page.query_one(link, &[&id, &digest, &seen]).await.unwrap();
        page.commit().await.unwrap();
        if let Some(login) = login {
            login.commit().await.unwrap();
        }
        assert_eq!(links(&database).await, "back=1");
        assert_eq!(reading::queued(&database).await, 1);

        let _daemon = database.daemon_with(settings).await;
        database.sessions_read().await;
        change_password(&database, 1).await;
        database.settled().await;
        assert_eq!(left(&database).await, "");
    }
}

/// The trigger sees only this save, and the table has not been read yet: whose the session was before, it says itself.
#[tokio::test]
async fn a_save_before_the_table_is_read_makes_a_session_no_younger_than_its_login() {
    for paused in [true, false] {
        let (database, settings) = express(server()).await;
        if paused {
            database.migrate_with(&settings).await;
            open(&database, "thief", &of(1)).await;
            pause(&database, &settings.site).await;
            save(&database, "thief", &of(2)).await;
        } else {
            open(&database, "thief", &of(2)).await;
        }
        open(&database, "visitor", ANONYMOUS).await;
        if paused {
            resume(&database, &settings.site).await;
        } else {
            database.migrate_with(&settings).await;
        }
        change_password(&database, 2).await;
        save(&database, "thief", r#"{"cart":[1],"passport":{"user":2}}"#).await;
        save(&database, "visitor", &of(2)).await;
        let _daemon = database.daemon_with(settings).await;
        wait_until("it is settled", || async {
            database.open_revocations().await == 0
        })
        .await;
        assert_eq!(left(&database).await, "visitor", "{paused}");
    }
}
