//! What every test stands on: one throw-away server a test binary, one database a test (channels are per
//! database), the daemon in the same process, and waiting that says where it waited.

pub mod binary;
mod database;
pub mod django;
pub mod express;
#[path = "../../history/faked_clock.rs"]
pub mod faked_clock;
pub mod figures;
pub mod hold;
pub mod program;
pub mod proxy;
mod running;
mod servers;
pub mod slow;
pub mod standby;

use std::{
    future::Future,
    panic::Location,
    time::{Duration, Instant},
};

use session_reaper::{
    connection::Target,
    demo::site,
    settings::{Database as DatabaseSettings, Environment, Settings},
};
use tokio_postgres::{Client, NoTls};

pub use database::Database;
pub use running::Running;
pub use servers::{
    find_program, server, server_with_two_phase_commit, start_server, start_server_with,
};

/// Long enough for a machine that does other things, short enough to fail before the runner gives up.
const PATIENCE: Duration = Duration::from_secs(240);

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
