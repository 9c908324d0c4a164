//! A rolling restart: a newer release migrates while an older daemon works, starts beside it, and takes over (P3).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use session_reaper::demo::site;
use tokio::task::JoinSet;

use crate::stage::{
    Database,
    program::{Daemon, run},
    wait_until,
};

/// The site's own work, none of which may fail: users log in, change their password and log in again.
struct Site {
    visits: JoinSet<(Vec<String>, Vec<String>)>,
    changes: Arc<AtomicUsize>,
    closing: Arc<AtomicBool>,
}

impl Site {
    async fn open(database: &Database) -> Self {
        let mut site = Self {
            visits: JoinSet::new(),
            changes: Arc::default(),
            closing: Arc::default(),
        };
        for _ in 0..3 {
            let users = database.users(2_000).await;
            let mut client = database.connect().await;
            let (changes, closing) = (Arc::clone(&site.changes), Arc::clone(&site.closing));
            site.visits.spawn(async move {
                let (mut older, mut newer) = (Vec::new(), Vec::new());
                for user in users {
                    if closing.load(Ordering::Relaxed) {
                        break;
                    }
                    for (keys, then_changes) in [(&mut older, true), (&mut newer, false)] {
                        let request = client.transaction().await.unwrap();
                        keys.extend(site::log_in(&request, &[user]).await.unwrap());
                        request.commit().await.unwrap();
                        if then_changes {
                            site::change_password(&client, user).await.unwrap();
                        }
                    }
                    changes.fetch_add(1, Ordering::Relaxed);
                    // A bound on the load; the users do not run out before the test is over.
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                (older, newer)
            });
        }
        site
    }

    async fn goes_on(&self) {
        let before = self.changes.load(Ordering::Relaxed);
        wait_until("passwords are changed", || async {
            self.changes.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    /// Closes the site, and holds its sessions against what it knows of them.
    async fn closes_with_everything_honoured(self, database: &Database) {
        self.closing.store(true, Ordering::Relaxed);
        let visits = self.visits.join_all().await;
        database.settled().await;
        for (older, newer) in visits {
            assert!(!older.is_empty());
            assert_eq!(database.count(&older).await, 0, "a survivor");
            assert_eq!(database.count(&newer).await, newer.len(), "a bystander");
        }
    }
}

fn complaints(daemon: &Daemon) -> usize {
    daemon.times("\"WARN\"") + daemon.times("\"ERROR\"")
}

/// Every function of ours, the view and a trigger are those of another release until `migrate` replaces them.
async fn pretend_that_another_release_has_migrated(database: &Database) {
    database
        .batch_execute(
            "update session_reaper.behaviour set digest = 'of another release' where name <> 'site'",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn while_a_newer_release_migrates_and_takes_over_the_older_daemon_works_and_nothing_is_lost()
{
    let database = Database::create().await;
    let mut older = Daemon::start(database.url());
    older.serves().await;
    let site = Site::open(&database).await;
    site.goes_on().await;

    for _ in 0..5 {
        pretend_that_another_release_has_migrated(&database).await;
        let migrated = run(database.url(), &["migrate"]).await;
        assert!(migrated.assert_done().contains("functions  sql/sweep.sql"));
        site.goes_on().await;
    }
    assert_eq!(complaints(&older), 0, "{}", older.log());

    let newer = Daemon::start(database.url());
    database.served_by(2).await;
    site.goes_on().await;
    older.signal("TERM");
    assert_eq!(older.ended().await.code(), Some(0));
    site.goes_on().await;
    assert_eq!(database.daemons().await, 1);

    site.closes_with_everything_honoured(&database).await;
    assert_eq!(
        complaints(&older) + complaints(&newer),
        0,
        "{}\n{}",
        older.log(),
        newer.log()
    );
}

/// What the next release's migrations may do: they only ever add.
const NEXT_MIGRATION: &str = "
    alter table session_reaper.revocation add column note text not null default 'none';
    alter table session_reaper.change add column note text;
    alter table session_reaper.user_session add column note text;
    create index on session_reaper.revocation (note);
    insert into session_reaper.schema_history (version, name, applied_on, checksum)
    select max(version) + 1, 'note', now()::text, '0' from session_reaper.schema_history";

#[tokio::test]
async fn a_daemon_older_than_the_schema_goes_on_if_it_runs_and_refuses_to_start_in_one_sentence() {
    let database = Database::create().await;
    let mut daemon = Daemon::start(database.url());
    daemon.serves().await;
    let site = Site::open(&database).await;
    site.goes_on().await;

    database.batch_execute(NEXT_MIGRATION).await.unwrap();
    site.goes_on().await;
    // A connection that is opened afterwards finds nothing else.
    database
        .batch_execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'session-reaper'",
        )
        .await
        .unwrap();
    daemon.says_again("\"listening\"", 1).await;
    site.goes_on().await;
    site.closes_with_everything_honoured(&database).await;
    assert_eq!(daemon.times("\"ERROR\""), 0, "{}", daemon.log());

    let says = [
        "is newer than this release knows",
        "install the newer release of session-reaper",
    ];
    let restarted = run(database.url(), &["run"]).await;
    restarted.assert_command_failed(&says);
    run(database.url(), &["migrate"])
        .await
        .assert_refused(1, &says);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), Some(0));
}
