//! A test's own database, and what most tests do with it.

use std::{
    future::Future,
    ops::Deref,
    sync::atomic::{AtomicU32, Ordering},
};

use session_reaper::{
    connection::Target,
    demo::{server::Server, site},
    process::shutdown::Stop,
    purge::purger::{Purger, Report as Purged},
    schema::{self, Site},
    settings::Settings,
};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use super::{Running, connect, server, target, wait_until};

/// A database with Django's tables, and session-reaper in it. Dropping it drops the database, so that hundreds of tests
/// need no more room than those that run at the same time.
pub struct Database {
    name: String,
    url: String,
    /// The way to a database that stays.
    maintenance_url: String,
    /// For what the site does.
    pub client: Client,
}

impl Deref for Database {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Database {
    /// A fresh database on the common server, with session-reaper installed. It is a copy of one, which takes a tenth of
    /// the time of an installation.
    pub async fn create() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(make_template).await;
        Self::copy(template, |name| server().url(name)).await
    }

    /// The same on another server.
    pub async fn create_on(server: &Server) -> Self {
        let database = Self::create_bare(server).await;
        database.migrate().await;
        database
    }

    /// A fresh database with Django's tables and nothing else.
    pub async fn create_bare(server: &Server) -> Self {
        let database = Self::create_empty(server).await;
        site::create_tables(&database.client).await.unwrap();
        database
    }

    /// A fresh database for a site that is not Django's.
    pub async fn create_empty(server: &Server) -> Self {
        Self::create_empty_at(|name| server.url(name)).await
    }

    /// The same on a server that was not started here; the function makes the way into a database out of its name.
    pub async fn create_empty_at(url: impl Fn(&str) -> String) -> Self {
        Self::copy("template1", url).await
    }

    async fn copy(template: &str, url: impl Fn(&str) -> String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let maintenance_url = url("postgres");
        connect(&maintenance_url)
            .await
            .batch_execute(&format!("create database {name} template {template}"))
            .await
            .unwrap();
        let url = url(&name);
        let client = connect(&url).await;
        Self {
            name,
            url,
            maintenance_url,
            client,
        }
    }

    /// Another connection to it.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, for the daemon and the command line.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The daemon's view of where it is.
    pub fn target(&self) -> Target {
        target(&self.url)
    }

    /// Installs session-reaper.
    pub async fn migrate(&self) {
        self.migrate_with(&Settings::default()).await;
    }

    /// Installs session-reaper with other settings.
    pub async fn migrate_with(&self, settings: &Settings) {
        schema::migrate(&self.target(), &settings.site)
            .await
            .unwrap();
    }

    /// What a daemon with the settings that `migrate()` takes would purge with.
    pub async fn purger(&self) -> Purger {
        let settings = Settings::default().site;
        let site = Site::inspect(&self.client, &settings).await.unwrap();
        Purger::new(self.target().database().unwrap(), &site)
    }

    /// Purges once, with the settings that nobody has changed.
    pub async fn purge(&self) -> Purged {
        let (settings, stop) = (Settings::default().purge, Stop::default());
        let purger = self.purger().await;
        purger.purge(&settings, &stop, |_| {}).await.unwrap()
    }

    /// Signs up as many users.
    pub async fn users(&self, count: usize) -> Vec<i32> {
        let names: Vec<String> = (0..count)
            .map(|number| format!("user{number}_{}", fastrand::u32(..)))
            .collect();
        site::sign_up(&self.client, &names).await.unwrap()
    }

    /// Logs a user in as many times.
    pub async fn log_in(&self, user: i32, times: usize) -> Vec<String> {
        site::log_in(&self.client, &vec![user; times])
            .await
            .unwrap()
    }

    /// How many of these sessions exist.
    pub async fn count(&self, keys: &[String]) -> usize {
        site::count(&self.client, keys).await.unwrap()
    }

    /// Changes a password, and returns when the change has committed.
    pub async fn change_password(&self, user: i32) {
        site::change_password(&self.client, user).await.unwrap();
    }

    /// One number from the database.
    pub async fn number(&self, statement: &str) -> i64 {
        self.client.query_one(statement, &[]).await.unwrap().get(0)
    }

    /// Revocations that are not settled.
    pub async fn open_revocations(&self) -> i64 {
        self.number("select count(*) from session_reaper.revocation where state <> 'settled'")
            .await
    }

    /// Waits until everything that was asked for is settled.
    #[track_caller]
    pub fn settled(&self) -> impl Future<Output = ()> {
        wait_until("everything is settled", || async {
            self.open_revocations().await == 0
        })
    }

    /// Waits until a daemon has read every session: in the middle of it, it holds some locked, and what is locked no
    /// changing transaction ends.
    #[track_caller]
    pub fn sessions_backfilled(&self) -> impl Future<Output = ()> {
        wait_until("every session has been read", || async {
            let left = "select count(*) from session_reaper.backfill t
                where not t.complete or exists (select from session_reaper.pending_link)";
            self.number(left).await == 0
        })
    }

    /// Starts the daemon and waits until it serves and has been through the session table once: what is opened while it
    /// still is may be read twice.
    pub async fn daemon(&self) -> Running {
        let running = self.daemon_with(Settings::default()).await;
        wait_until("the session table has been read", || async {
            let unread = "select count(*) from session_reaper.backfill where not complete";
            self.number(unread).await == 0
        })
        .await;
        running
    }

    /// Starts the daemon with other settings and waits until it serves.
    pub async fn daemon_with(&self, settings: Settings) -> Running {
        self.daemon_at(settings, self.target()).await
    }

    /// Starts the daemon with another way to this database and waits until it serves.
    pub async fn daemon_at(&self, settings: Settings, target: Target) -> Running {
        // By its process at the server: that of one that has just stopped may still be there.
        let before = self.serving().await;
        let running = Running::start(settings, target);
        wait_until("the daemon serves", || async {
            let now = self.serving().await;
            now.iter().any(|process| !before.contains(process))
        })
        .await;
        running
    }

    /// How many daemons serve.
    pub async fn daemons(&self) -> i64 {
        self.serving().await.len().try_into().unwrap()
    }

    /// The processes at the server that say so.
    async fn serving(&self) -> Vec<i32> {
        let rows = self
            .query(
                "select coalesce(pid, 0) from pg_locks where locktype = 'advisory' and granted and classid = 1397903442 and objid not in (2, 3) and objsubid = 2
                 and database = (select oid from pg_database where datname = current_database())",
                &[],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until as many daemons serve.
    #[track_caller]
    pub fn served_by(&self, daemons: i64) -> impl Future<Output = ()> {
        wait_until("as many daemons serve", move || async move {
            self.daemons().await == daemons
        })
    }
}

impl Drop for Database {
    // On a thread of its own, because the test's runtime may be ending. A server that is gone has taken the database with
    // it, so a failure needs no attention.
    fn drop(&mut self) {
        let (url, name) = (self.maintenance_url.clone(), self.name.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
                    tokio::spawn(connection);
                    let statement = format!("drop database if exists {name} with (force)");
                    let _ = client.batch_execute(&statement).await;
                }
            });
        });
    }
}

/// The database that [`Database::create`] copies, to which nobody is connected any more.
async fn make_template() -> String {
    let name = "session_reaper_installed";
    connect(&server().url("postgres"))
        .await
        .batch_execute(&format!("create database {name}"))
        .await
        .unwrap();
    let url = server().url(name);
    site::create_tables(&connect(&url).await).await.unwrap();
    schema::migrate(&target(&url), &Settings::default().site)
        .await
        .unwrap();
    name.to_owned()
}
