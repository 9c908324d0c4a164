//! A stream of visitors who log in, change their password and log in again, and remember what the database has
//! acknowledged.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use session_reaper::demo::site;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// One user, and what is known of them.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub user: i32,
    /// Sessions that were opened before the password was changed.
    pub older: Vec<String>,
    /// Whether it was: acknowledged, or asked for without an answer.
    pub change: Change,
    /// The session that was opened afterwards.
    pub newer: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    NotAsked,
    Unanswered,
    Acknowledged,
}

/// The stream. Dropping it ends it.
pub struct Traffic {
    visits: Arc<Mutex<Vec<Visitor>>>,
    clients: JoinSet<()>,
}

/// A bound on the load, which the machine shares with what is tested.
const REST: Duration = Duration::from_millis(20);

impl Traffic {
    /// Lets these users come, each once, a few at a time.
    pub fn start(url: &str, visitors: Vec<Visitor>) -> Self {
        let (visitors, next) = (Arc::new(visitors), Arc::new(AtomicUsize::new(0)));
        let visits = Arc::new(Mutex::new(Vec::new()));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (url, visits) = (url.to_owned(), Arc::clone(&visits));
            let (visitors, next) = (Arc::clone(&visitors), Arc::clone(&next));
            clients.spawn(async move {
                let mut connected = None;
                while let Some(visitor) = visitors.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let client = match connected.take() {
                        Some(client) => client,
                        None => reconnect(&url).await,
                    };
                    let mut visitor = visitor.clone();
                    if visit(&client, &mut visitor).await.is_ok() {
                        connected = Some(client);
                    }
                    visits.lock().unwrap().push(visitor);
                    tokio::time::sleep(REST).await;
                }
            });
        }
        Self { visits, clients }
    }

    /// How many changes have been acknowledged so far.
    pub fn changes(&self) -> usize {
        let visits = self.visits.lock().unwrap();
        let acknowledged = |visitor: &&Visitor| visitor.change == Change::Acknowledged;
        visits.iter().filter(acknowledged).count()
    }

    /// Ends the stream and tells what it has seen. Whoever is cut off in mid-visit is not among these.
    pub async fn end(mut self) -> Vec<Visitor> {
        self.clients.shutdown().await;
        std::mem::take(&mut self.visits.lock().unwrap())
    }
}

async fn visit(client: &Client, visitor: &mut Visitor) -> Result<(), tokio_postgres::Error> {
    visitor.older.extend(log_in(client, visitor.user).await?);
    visitor.change = Change::Unanswered;
    site::change_password(client, visitor.user).await?;
    visitor.change = Change::Acknowledged;
    visitor.newer = log_in(client, visitor.user).await?.pop();
    Ok(())
}

/// In one transaction, as a site with `ATOMIC_REQUESTS` does; a session without its link would not be ended.
async fn log_in(client: &Client, user: i32) -> Result<Vec<String>, tokio_postgres::Error> {
    client.batch_execute("begin").await?;
    let keys = site::log_in(client, &[user]).await?;
    client.batch_execute("commit").await?;
    Ok(keys)
}

async fn reconnect(url: &str) -> Client {
    loop {
        if let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await {
            tokio::spawn(connection);
            return client;
        }
        tokio::time::sleep(REST).await;
    }
}
