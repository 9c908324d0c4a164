//! Sessions that changed hands while nobody noted what was written: when the table is read anew, they are their new
//! users' (P1), and their old ones' no more (P2).

use session_reaper::{
    schema,
    settings::{Settings, Site},
};

use crate::stage::{
    Database, begun,
    django::{self, data, data_of, exists},
    express::{change_password, express, left, links, open, save},
    server, wait_until,
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
    let age = "select concat_ws(' ', xid, begun_at, snapshot, linked_at, from_data, user_id)
        from session_reaper.user_session where session_key = $1";
    database.query_one(age, &[&key]).await.unwrap().get(0)
}

async fn installed() -> (Database, Settings) {
    let (database, settings) = express(server()).await;
    database.migrate_with(&settings).await;
    let daemon = database.daemon_with(settings.clone()).await;
    database.sessions_backfilled().await;
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
        database.sessions_backfilled().await;
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
        keys.push(django::log_in(&database, users[0]).await);
    }
    database.sessions_backfilled().await;
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
    assert_eq!(django::links(&database).await, 2);
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
        assert_eq!(django::queued(&database).await, 1);

        let _daemon = database.daemon_with(settings).await;
        database.sessions_backfilled().await;
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

/// The link says that it is ann's, and what would say otherwise has not been read: the changing transaction cannot tell.
#[tokio::test]
async fn without_a_daemon_a_change_leaves_a_session_that_somebody_else_may_have_got_to_the_next_daemon()
 {
    for change in [
        "update auth_user set password = 'new' where id = $1",
        "delete from auth_user where id = $1",
    ] {
        let database = Database::create().await;
        let users = database.users(2).await;
        let daemon = database.daemon().await;
        let mut keys = Vec::new();
        for _ in 0..2 {
            keys.push(django::log_in(&database, users[0]).await);
        }
        database.sessions_backfilled().await;
        daemon.stop().await;
        assert_eq!(django::links(&database).await, 2);
        django::save(&database, &keys[0], &data_of(users[1])).await;

        database.execute(change, &[&users[0]]).await.unwrap();
        assert!(exists(&database, &keys[0]).await, "{change}");
        assert!(!exists(&database, &keys[1]).await, "{change}");
        let _daemon = database.daemon().await;
        database.settled().await;
        assert!(exists(&database, &keys[0]).await, "{change}");
        database.change_password(users[1]).await;
        database.settled().await;
        assert!(!exists(&database, &keys[0]).await, "{change}");
    }
}

/// Everything that has settled before has found what was older, so that what nobody has noted is younger.
#[tokio::test]
async fn a_session_opened_during_a_pause_is_older_than_no_change_that_had_settled() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let (settled, open_still) = (users[0], users[1]);
    let daemon = database.daemon().await;
    database.change_password(settled).await;
    database.settled().await;
    let request = database.connect().await;
    request.batch_execute("begin; select 1").await.unwrap();
    database.change_password(open_still).await;
    wait_until("that one is swept", || async {
        let swept = "select count(*) from session_reaper.revocation where state = 'revoked'";
        database.number(swept).await == 1
    })
    .await;
    let site = Settings::default().site;
    pause(&database, &site).await;
    let younger = django::open(&database, &data_of(settled)).await;
    let late = "insert into django_session values ('late', $1, now() + interval '1 day')";
    let data = data_of(open_still);
    request.execute(late, &[&data]).await.unwrap();
    request.batch_execute("commit").await.unwrap();
    resume(&database, &site).await;

    database.sessions_backfilled().await;
    database.settled().await;
    assert!(exists(&database, &younger).await);
    assert!(!exists(&database, &"late".to_owned()).await);
    daemon.stop().await;
    let _daemon = database.daemon().await;
    database.change_password(settled).await;
    database.settled().await;
    assert!(!exists(&database, &younger).await);
}

/// A change for which nobody waits any more has settled without having seen everything.
#[tokio::test]
async fn but_than_one_whose_wait_was_cut_short_it_may_be() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let daemon = database.daemon().await;
    database.change_password(user).await;
    database.settled().await;
    let cut_short = "update session_reaper.revocation set waited_out = true";
    database.batch_execute(cut_short).await.unwrap();
    let site = Settings::default().site;
    pause(&database, &site).await;
    let session = django::open(&database, &data_of(user)).await;
    resume(&database, &site).await;
    wait_until("it ends", || async { !exists(&database, &session).await }).await;
    daemon.stop().await;
}

/// Nor does anybody know how long nothing had been noted when the pause began.
#[tokio::test]
async fn and_where_the_trigger_was_off_before_the_pause_it_may_be_older_than_everything() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let daemon = database.daemon().await;
    let off = "alter table django_session disable trigger \"A_session_reaper_session_opened\"";
    database.batch_execute(off).await.unwrap();
    let unnoted = django::open(&database, &data_of(user)).await;
    database.change_password(user).await;
    let site = Settings::default().site;
    pause(&database, &site).await;
    resume(&database, &site).await;
    wait_until("it ends", || async { !exists(&database, &unnoted).await }).await;
    daemon.stop().await;
}

/// The queue takes nothing more, or the links are lost.
#[tokio::test]
async fn nor_is_one_that_was_opened_while_the_queue_was_full_or_whose_link_was_lost() {
    for overflows in [true, false] {
        let database = Database::create_bare(server()).await;
        let mut settings = Settings::default();
        settings.site.queue_mb = 1;
        database.migrate_with(&settings).await;
        let users = database.users(2).await;
        let daemon = database.daemon_with(settings.clone()).await;
        database.sessions_backfilled().await;
        database.change_password(users[0]).await;
        database.settled().await;
        daemon.stop().await;
        if overflows {
            let bots = "insert into django_session
                select md5(g::text || random()), $1, now() + interval '1 day' from generate_series(1, 12000) g";
            let cart = data(r#"{"cart":[1]}"#);
            database.execute(bots, &[&cart]).await.unwrap();
        }
        let (hers, his) = (
            django::open(&database, &data_of(users[0])).await,
            django::open(&database, &data_of(users[1])).await,
        );
        if overflows {
            database.change_password(users[1]).await;
        }
        let daemon = database.daemon_with(settings.clone()).await;
        if !overflows {
            database.sessions_backfilled().await;
            daemon.stop().await;
            let lose = "truncate session_reaper.user_session";
            database.batch_execute(lose).await.unwrap();
            database.change_password(users[1]).await;
        }
        let _daemon = database.daemon_with(settings).await;
        wait_until("the table has been read again", || async {
            let read = "select count(*) from session_reaper.backfill
                where complete and reason in ('overflow', 'truncated')";
            database.number(read).await == 1
        })
        .await;
        database.sessions_backfilled().await;
        database.settled().await;
        assert!(exists(&database, &hers).await, "{overflows}");
        assert!(!exists(&database, &his).await, "{overflows}");
        database.change_password(users[0]).await;
        database.settled().await;
        assert!(!exists(&database, &hers).await, "{overflows}");
    }
}

/// Within the grace, a request in flight may write the ended session back, and a login may get its key.
#[tokio::test]
async fn within_the_grace_another_users_login_under_an_ended_key_is_no_write_back() {
    for breach in [false, true] {
        let (database, mut settings) = express(server()).await;
        database.migrate_with(&settings).await;
        settings.revoke.write_back_grace_s = 2;
        let _daemon = database.daemon_with(settings).await;
        database.sessions_backfilled().await;
        for sid in ["handed", "written", "known"] {
            open(&database, sid, &of(1)).await;
        }
        if breach {
            let all = "select session_reaper.revoke_all()";
            database.batch_execute(all).await.unwrap();
        } else {
            change_password(&database, 1).await;
        }
        wait_until("they have ended", || async {
            left(&database).await.is_empty()
        })
        .await;
        open(&database, "handed", &of(2)).await;
        // What is written alone does not tell a login from a write-back; the app that links its login does.
        open(&database, "written", &of(1)).await;
        database
            .batch_execute(&format!(
                "begin;
                insert into session values ('known', '{}', (now() + interval '1 day') at time zone 'UTC');
                select session_reaper.link_session('known', 1);
                commit",
                of(1)
            ))
            .await
            .unwrap();
        database.settled().await;
        assert_eq!(left(&database).await, "handed known", "{breach}");
        change_password(&database, 2).await;
        wait_until("it ends with its own user's", || async {
            left(&database).await == "known"
        })
        .await;
    }
}

/// However often it was named, and whether or not sessions are written back here: once the session has ended, its key may be
/// somebody else's (P2).
#[tokio::test]
async fn a_key_that_was_named_is_free_again_once_its_session_has_ended() {
    let named = "select session_reaper.revoke_session('handed')";
    let everything = "select session_reaper.revoke_user(1)";
    let asked = [[named, everything], [everything, named], [named, named]];
    for (asked, grace_s) in asked.iter().flat_map(|asked| [(asked, 0), (asked, 2)]) {
        let (database, mut settings) = express(server()).await;
        database.migrate_with(&settings).await;
        settings.revoke.write_back_grace_s = grace_s;
        let _daemon = database.daemon_with(settings).await;
        database.sessions_backfilled().await;
        open(&database, "handed", &of(1)).await;
        let holder = begun(&database, "begin; select pg_current_xact_id()").await;
        let at_once = format!("begin; {}; commit", asked.join("; "));
        database.batch_execute(&at_once).await.unwrap();
        wait_until("it has ended", || async {
            left(&database).await.is_empty()
        })
        .await;
        open(&database, "handed", &of(2)).await;
        holder.batch_execute("commit").await.unwrap();
        database.settled().await;
        assert_eq!(left(&database).await, "handed", "{asked:?}, {grace_s} s");
    }
}

/// The session names nobody who is there, and its link still names who left it: neither keeps it (P1).
#[tokio::test]
async fn a_session_that_passed_to_somebody_who_is_deleted_before_it_is_read_ends() {
    let database = Database::create().await;
    let users = database.users(3).await;
    let daemon = database.daemon().await;
    let passed = django::log_in(&database, users[0]).await;
    let stays = django::log_in(&database, users[0]).await;
    wait_until("both are linked", || async {
        django::links(&database).await == 2
    })
    .await;
    daemon.stop().await;

    let mut app = database.connect().await;
    let login = app.transaction().await.unwrap();
    let save = "update django_session set session_data = $2 where session_key = $1";
    login
        .execute(save, &[&passed, &data_of(users[1])])
        .await
        .unwrap();
    database
        .execute("delete from auth_user where id = $1", &[&users[1]])
        .await
        .unwrap();
    login.commit().await.unwrap();

    let _daemon = database.daemon().await;
    database.sessions_backfilled().await;
    database.settled().await;
    assert!(!exists(&database, &passed).await);
    assert!(exists(&database, &stays).await);
}

/// Long before he came: then no change ends it, his own no more than that of who left it (P2).
#[tokio::test]
async fn a_session_that_names_somebody_who_was_never_there_is_nobodys() {
    let database = Database::create().await;
    let users = database.users(1).await;
    let _daemon = database.daemon().await;
    let passed = django::log_in(&database, users[0]).await;
    wait_until("it is linked", || async {
        django::links(&database).await == 1
    })
    .await;
    let save = "update django_session set session_data = $2 where session_key = $1";
    database
        .execute(save, &[&passed, &data_of(1_000_000)])
        .await
        .unwrap();
    wait_until("it is nobody's", || async {
        django::links(&database).await == 0
    })
    .await;
    database.change_password(users[0]).await;
    database.settled().await;
    assert!(exists(&database, &passed).await);
}

/// What was read may be older than the link that is there by now (P1, P2).
#[tokio::test]
async fn a_link_that_was_made_since_the_session_was_read_is_not_taken_off() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let _daemon = database.daemon().await;
    let mut reader = database.connect().await;
    let read_before = reader.transaction().await.unwrap();
    let key = django::log_in(&database, user).await;
    wait_until("it is linked", || async {
        django::links(&database).await == 1
    })
    .await;
    let found_nobody = format!(
        "select f.busy::text[] from session_reaper.link_found(
            array['{key}'], array[1000000], array['0'::xid8], array[now()], array['1:1:'::pg_snapshot]) f"
    );
    let busy: Vec<String> = read_before
        .query_one(&found_nobody, &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(busy, [key]);
    read_before.commit().await.unwrap();
    assert_eq!(django::links(&database).await, 1);

    let read_after = reader.transaction().await.unwrap();
    let busy: Vec<String> = read_after
        .query_one(&found_nobody, &[])
        .await
        .unwrap()
        .get(0);
    assert!(busy.is_empty());
    read_after.commit().await.unwrap();
    assert_eq!(django::links(&database).await, 0);
}
