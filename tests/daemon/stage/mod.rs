//! What every test stands on: one throw-away server a test binary, one database a test (channels are per
//! database), the daemon in the same process, and waiting that says where it waited.

pub mod binary;
pub mod django;
pub mod express;
#[path = "../../history/faked_clock.rs"]
pub mod faked_clock;
pub mod figures;
pub mod hold;
pub mod program;
pub mod proxy;
pub mod standby;

use std::{
    future::Future,
    ops::Deref,
    panic::Location,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use session_reaper::{
    connection::Target,
    daemon::Daemon,
    demo::{
        server::{Options, Server},
        site,
    },
    process::shutdown::Stop,
    purge::purger::{Purger, Report as Purged},
    schema::{self, Site},
    settings::{Database as DatabaseSettings, Environment, Settings},
};
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_postgres::{Client, NoTls};

/// Long enough for a machine that does other things, short enough to fail before the runner gives up.
const PATIENCE: Duration = Duration::from_secs(240);

/// The server of this test binary. It ends with the process, by its own watchdog.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start_server(&[]))
}

/// A server on which transactions can be prepared; NOTIFY is left out there.
pub fn server_with_two_phase_commit() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start_server(&["max_prepared_transactions = 50"]))
}

/// A server of one test's own, to be stopped and started.
pub fn start_server(conf: &[&str]) -> Server {
    start_server_with(conf, Vec::new())
}

/// The same with variables in its environment.
pub fn start_server_with(conf: &[&str], variables: Vec<(String, String)>) -> Server {
    let lines = [
        "fsync = off",
        "max_connections = 200",
        "log_min_messages = warning",
        // What the tests write stays small: it may be a tmpfs that they write to.
        "max_wal_size = 128MB",
    ];
    let conf = lines.iter().chain(conf).map(ToString::to_string).collect();
    let options = Options {
        tcp: true,
        conf,
        variables,
    };
    Server::start(&options).expect("a server for the tests")
}

/// Where a program is installed, or where tests/install has unpacked it. `sbin` is not in everybody's `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/target/programs/starters");
    std::env::split_paths(&path)
        .chain(["/usr/sbin", unpacked].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

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

/// A daemon in this process. Dropping it kills it, as a crash would; `stop` is the polite way.
pub struct Running {
    stop: Stop,
    task: JoinHandle<Result<(), schema::Error>>,
}

impl Running {
    /// Starts it without waiting for anything. Unless the test names a schedule, none comes round in it: every five
    /// minutes a purge would take the expired sessions from under some test.
    pub fn start(mut settings: Settings, target: Target) -> Self {
        if settings.purge.schedule == Settings::default().purge.schedule {
            "0 0 0 1 1 *".clone_into(&mut settings.purge.schedule);
        }
        let stop = Stop::default();
        let task = tokio::spawn(Daemon::new(settings, target, stop.clone()).run());
        Self { stop, task }
    }

    /// Stops it and waits until it has.
    pub async fn stop(mut self) {
        self.stop.stop();
        (&mut self.task).await.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection as an app has one.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A connection with a transaction that has its snapshot, or its time.
pub async fn begun(database: &Database, how: &str) -> Client {
    let client = database.connect().await;
    client.batch_execute(how).await.unwrap();
    client.query("select now()", &[]).await.unwrap();
    client
}

/// Where the daemon finds a database.
pub fn target(url: &str) -> Target {
    resolve(url, DatabaseSettings::default())
}

/// The same for a daemon that gives a dead connection up as early as settings allow.
pub fn impatient_target(url: &str) -> Target {
    let settings = DatabaseSettings {
        connect_timeout_s: 3,
        statement_timeout_s: 3,
        ..DatabaseSettings::default()
    };
    resolve(url, settings)
}

fn resolve(url: &str, mut settings: DatabaseSettings) -> Target {
    settings.url = Some(url.to_owned());
    Target::resolve(&settings, &Environment::default()).unwrap()
}

/// Settings with which nothing is found by polling, so that only a notification can explain success.
pub fn without_polling() -> Settings {
    let mut settings = Settings::default();
    settings.listen.poll_interval_s = 3600;
    settings
}

/// Asks again and again until the answer is yes; panics at the caller's place if it never is.
#[track_caller]
pub fn wait_until<F, A>(what: &str, mut ask: F) -> impl Future<Output = ()> + use<F, A>
where
    F: FnMut() -> A,
    A: Future<Output = bool>,
{
    let (what, place) = (what.to_owned(), Location::caller());
    async move {
        let begun = Instant::now();
        while !ask().await {
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for ever until {what}, at {place}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// As an app that owns nothing links: by the function, in a transaction of its own.
pub async fn log_in_as_app(app: &Client, users: &[i32]) -> Vec<String> {
    let keys = site::visit(app, users.len()).await.unwrap();
    for (key, user) in keys.iter().zip(users) {
        let link = "select session_reaper.link_session($1, $2)";
        app.execute(link, &[key, user]).await.unwrap();
    }
    keys
}
