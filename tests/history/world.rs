//! The site, and what all clients share.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use session_reaper::{
    connection::Target,
    demo::site,
    schema,
    settings::{self, Cached, Database, Environment},
};
use tokio_postgres::{Client, Error, NoTls};

use crate::{
    cache::Address,
    ledger::{Ledger, Micros},
    readings,
    stand_in::StandIn,
};

/// What clients do more often, where one promise is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Hold rows in overlapping turns.
    Holds,
    /// Ask to keep a session.
    Keeps,
    /// Write about users what is no password.
    Writes,
    /// Verify for long and write briefly, while nobody else writes for long.
    Reads,
    /// End sessions of half of the users, and log all of them in again.
    Revokes,
    /// Log out in long transactions, and come back meanwhile.
    Leaves,
}

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub run_for: Duration,
    pub clients: u64,
    pub users: usize,
    /// Sessions from before the installation. Where there are any, the whole table is read again now and then.
    pub before: usize,
    pub grace_s: u64,
    pub two_phase: bool,
    pub daemons: usize,
    pub faults: bool,
    /// Standbys are promoted as well, which takes seconds.
    pub failovers: bool,
    /// Deliberately breaks what is installed.
    pub sabotage: String,
    /// The site caches its sessions beside their table.
    pub cached: bool,
    /// Takes the place of the daemons.
    pub stand_in: Option<StandIn>,
    /// What clients do more often.
    pub more: Option<More>,
}

impl Options {
    /// An intact, short run.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            seed,
            run_for: Duration::from_secs(8),
            clients: 30,
            users: 16,
            before: 0,
            grace_s: 0,
            two_phase: false,
            daemons: 2,
            faults: true,
            failovers: false,
            sabotage: String::new(),
            cached: false,
            stand_in: None,
            more: None,
        }
    }

    /// How long a session lives that nobody saves.
    pub fn lifetime(&self) -> Micros {
        let seconds = match self.more {
            Some(More::Revokes) => 3,
            _ => 14 * 86_400,
        };
        seconds * 1_000_000
    }
}

/// What all clients share.
pub struct World {
    pub options: Options,
    pub ledger: Ledger,
    /// Where the site has one.
    pub cache: Option<Address>,
    url: String,
    stopping: AtomicBool,
    numbers: AtomicI64,
    contested: Mutex<(u32, Option<String>)>,
}

/// The settings of the site, for those who migrate it and for its daemons.
pub const SETTINGS: &str = include_str!("site.toml");
const SETTINGS_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/history/site.toml");

const TABLES: &str = "
    create table mfa_device (user_id integer primary key, secret text not null);
    create table history_marker (id bigint primary key, generation bigint, xid text not null default pg_current_xact_id()::text);
    create function history_veto() returns trigger language plpgsql as $$
    begin
        return case when current_setting('history.veto', true) = 'on' then null else old end;
    end $$;
    create trigger history_veto before delete on auth_user for each row execute function history_veto();";

/// A stand-in cannot read sessions, so none are noted, as on a site whose app links them.
const READS_NOTHING: &str = r#"
    drop trigger "A_session_reaper_session_opened" on django_session;
    drop trigger "A_session_reaper_session_saved" on django_session;
    update session_reaper.table_reading set complete = true"#;

impl World {
    /// Sets a site up in an empty database.
    pub async fn create(url: String, options: Options, cache: Option<Address>) -> Self {
        let world = Self {
            options,
            ledger: Ledger::new(),
            cache,
            url,
            stopping: AtomicBool::new(false),
            numbers: AtomicI64::new(1),
            contested: Mutex::default(),
        };
        let client = world.connect().await;
        site::create_tables(&client).await.unwrap();
        client.batch_execute(TABLES).await.unwrap();
        let database = Database {
            url: Some(world.url.clone()),
            ..Database::default()
        };
        let target = Target::resolve(&database, &Environment::default()).unwrap();
        let settings = settings::load(Some(Path::new(SETTINGS_FILE)), &Environment::default());
        let mut settings = settings.unwrap();
        for _ in 0..world.options.users {
            let user = world.sign_up(&client).await.unwrap();
            world.ledger.books().users.push(user);
        }
        if world.options.before > 0 {
            world.ledger.books().readings.ask();
            readings::fill(&world, &client).await.unwrap();
        }
        if world.cache.is_some() {
            settings.site.cached = Cached::Outside;
        }
        schema::migrate(&target, &settings.site).await.unwrap();
        if world.options.stand_in.is_some() {
            client.batch_execute(READS_NOTHING).await.unwrap();
        }
        client.batch_execute(&world.options.sabotage).await.unwrap();
        let installed = world.ledger.now();
        world.ledger.books().readings.begin(installed);
        world
    }

    /// A connection; waits for a server that is being restarted.
    pub async fn connect(&self) -> Client {
        for _ in 0..2000 {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.url, NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        panic!("the server has not come back for a minute");
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
        for _ in 0..600 {
            let client = self.connect().await;
            let complete = "select t.complete from session_reaper.table_reading t";
            if let Ok(row) = client.query_one(complete, &[]).await
                && row.get(0)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the session table has not been read for a minute");
    }

    /// Whether sessions are read for their users.
    pub fn reads(&self) -> bool {
        self.options.stand_in.is_none() && self.options.more != Some(More::Revokes)
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
