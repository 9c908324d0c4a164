//! The site, and what all clients share.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use session_reaper::{
    connection::Target,
    demo::server::Server,
    schema,
    settings::{self, Cached, Database, Environment},
};
use tokio::{
    sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard},
    task::JoinHandle,
};
use tokio_postgres::{Client, Error, NoTls};

use crate::{
    backfills,
    cache::Address,
    control, histories,
    ledger::Ledger,
    options::{More, Options, Trouble},
    site::{self, Logins},
};

/// What all clients share.
pub struct World {
    pub options: Options,
    pub ledger: Ledger,
    /// Where the site has one.
    pub cache: Option<Address>,
    pub logins: Logins,
    stopping: AtomicBool,
    numbers: AtomicI64,
    contested: Mutex<(u32, Option<String>)>,
    everybody: Arc<RwLock<()>>,
}

/// The settings of the site, for those who migrate it and for its daemons.
pub const SETTINGS: &str = include_str!("site.toml");
const SETTINGS_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/history/site.toml");

/// A stand-in cannot read sessions, so none are noted, as on a site whose app links them.
const READS_NOTHING: &str = r#"
    drop trigger "A_session_reaper_session_opened" on django_session;
    drop trigger "A_session_reaper_session_saved" on django_session;
    create or replace function session_reaper.notes_writes() returns boolean language sql as 'select true';
    update session_reaper.backfill set complete = true"#;

impl World {
    /// Sets a site up on an empty server.
    pub async fn create(server: &Server, options: Options, cache: Option<Address>) -> Self {
        site::create_database(server, &options).await;
        let world = Self {
            logins: Logins::of(server, &options),
            options,
            ledger: Ledger::new(),
            cache,
            stopping: AtomicBool::new(false),
            numbers: AtomicI64::new(1),
            contested: Mutex::default(),
            everybody: Arc::default(),
        };
        site::create_tables(&world.logins, &world.options).await;
        let client = world.connect().await;
        for _ in 0..world.options.users {
            let user = world.sign_up(&client).await.unwrap();
            world.ledger.books().users.push(user);
        }
        if world.options.before > 0 {
            world.ledger.books().backfills.ask();
            backfills::fill(&world, &client).await.unwrap();
        }
        world.install(&client).await;
        if world.options.has(Trouble::Histories) {
            histories::fill(&world, &client).await.unwrap();
        }
        world
    }

    /// What the run is about, whole or broken on purpose.
    async fn install(&self, client: &Client) {
        if self.options.control {
            client.batch_execute(control::SCHEMA).await.unwrap();
            return;
        }
        let database = Database {
            url: Some(self.logins.owner()),
            ..Database::default()
        };
        let target = Target::resolve(&database, &Environment::default()).unwrap();
        let settings = settings::load(Some(Path::new(SETTINGS_FILE)), &Environment::default());
        let mut site = settings.unwrap().site;
        if self.cache.is_some() {
            site.cached = Cached::Outside;
        }
        if self.options.has(Trouble::Rights) {
            site.daemon_role = Some("reaper".to_owned());
            site.app_roles = vec!["app".to_owned()];
        }
        schema::migrate(&target, &site).await.unwrap();
        if self.options.stand_in.is_some() {
            client.batch_execute(READS_NOTHING).await.unwrap();
        }
        client.batch_execute(&self.options.sabotage).await.unwrap();
        let installed = self.ledger.now();
        self.ledger.books().backfills.begin(installed);
    }

    /// A connection of somebody's who may do everything.
    pub async fn connect(&self) -> Client {
        connect(|| self.logins.superuser()).await
    }

    /// A connection of the site's.
    pub async fn connect_as_app(&self) -> Client {
        connect(|| self.logins.app()).await
    }

    /// The same to its standby; nothing if there is none, or it does not answer.
    pub async fn connect_to_standby(&self) -> Option<Client> {
        if !self.options.has(Trouble::Standby) {
            return None;
        }
        let url = self.logins.app_on_standby();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// A new user, whose password says that it is the first one.
    pub async fn sign_up(&self, client: &Client) -> Result<i32, Error> {
        let name = format!("user{}", self.next_number());
        let statement = "insert into auth_user
                (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
            values ('gen:0', false, $1, '', '', '', false, true, now())
            returning id";
        Ok(client.query_one(statement, &[&name]).await?.get(0))
    }

    /// Numbers transactions and people.
    pub fn next_number(&self) -> i64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn some_user(&self, rng: &mut Rng) -> Option<i32> {
        rng.choice(&self.ledger.books().users).copied()
    }

    /// Whose history is the longest, where that is what the run is about. Never deleted.
    pub fn favourite(&self) -> Option<i32> {
        let books = self.ledger.books();
        let first = books.users.first().copied();
        first.filter(|_| self.options.has(Trouble::Histories))
    }

    /// A session that several clients want to hold at once; now and then another one.
    pub fn contested(&self, candidate: Option<String>) -> Option<String> {
        let mut contested = self.contested.lock().unwrap();
        if contested.0 == 0 {
            *contested = (3, candidate);
        }
        contested.0 -= 1;
        contested.1.clone()
    }

    /// Waits for the reading that follows an installation: until then, every session counts as one from before it. Not
    /// where there are any, which have to end while they are being read.
    pub async fn wait_until_read(&self) {
        if self.options.before > 0 {
            return;
        }
        for _ in 0..3000 {
            let client = self.connect().await;
            let complete = "select t.complete from session_reaper.backfill t";
            if let Ok(row) = client.query_one(complete, &[]).await
                && row.get(0)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the session table has not been read for five minutes");
    }

    /// Whether sessions are read for their users.
    pub fn reads(&self) -> bool {
        self.options.stand_in.is_none() && self.options.more != Some(More::Revokes)
    }

    /// Whoever does or looks at something asks first, and holds this meanwhile.
    pub async fn may_go_on(&self) -> RwLockReadGuard<'_, ()> {
        self.everybody.read().await
    }

    /// From now on nobody begins anything. What comes back is there when what had begun is over.
    pub fn stop_everybody(&self) -> JoinHandle<OwnedRwLockWriteGuard<()>> {
        tokio::spawn(Arc::clone(&self.everybody).write_owned())
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Waits for a server that is being restarted, or moves.
pub async fn connect(url: impl Fn() -> String) -> Client {
    for _ in 0..10_000 {
        if let Ok((client, connection)) = tokio_postgres::connect(&url(), NoTls).await {
            tokio::spawn(connection);
            return client;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("the server has not come back for five minutes");
}
