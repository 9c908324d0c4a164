//! Looks at everything that is cached, while the run goes on and when it has come to rest. What is settled is asked
//! before and after: a crash of the database may take back what nobody had to flush, a settled revocation together
//! with the deletion that it stands for.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::BEFORE_KEY;
use crate::{
    ledger::{Books, Cause, Login, Micros},
    monitor::{Open, is_stillborn, settled, tell},
    rules,
    world::World,
};

/// Within this, nothing that was settled can be taken back, come back and be settled anew.
const SHORT: Micros = 1_000_000;
/// How long entries without a session may stay when all is at rest.
const PATIENCE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Looks until the world stops.
pub async fn watch(world: Arc<World>) {
    while !world.is_stopping() {
        // Whatever it was, the next look begins with new connections.
        let _ = look_on(&world).await;
        sleep(Duration::from_millis(100)).await;
    }
}

async fn look_on(world: &World) -> Result<(), Failure> {
    let Some(address) = &world.cache else {
        return Ok(());
    };
    let client = world.connect().await;
    let mut cache = address.connect().await?;
    while !world.is_stopping() {
        let may = world.may_go_on().await;
        look(world, &client, &mut cache).await?;
        drop(may);
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn look(
    world: &World,
    client: &Client,
    cache: &mut MultiplexedConnection,
) -> Result<(), Failure> {
    let asked = world.ledger.now();
    let mut open = Open::ask(client).await?;
    let cached = cached(cache).await?;
    open.extend(Open::ask(client).await?);
    let mut books = world.ledger.books();
    if world.ledger.now() - asked > SHORT {
        books.count("cache: looks that took too long");
        return Ok(());
    }
    books.count("cache: looks");
    let found: Vec<(String, String)> = cached
        .iter()
        .filter_map(|key| Some((key.clone(), survives(&books, key, &open, asked)?)))
        .collect();
    books.cache.survivors.extend(found);
    books.cache.seen.extend(cached);
    Ok(())
}

/// The keys of all cached sessions.
async fn cached(cache: &mut MultiplexedConnection) -> Result<HashSet<String>, Failure> {
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(cache).await?;
    let key = |name: &String| name.strip_prefix(BEFORE_KEY).map(str::to_owned);
    Ok(names.iter().filter_map(key).collect())
}

/// Why this session must not be cached any more, if so.
fn survives(books: &Books, key: &str, open: &Open, asked: Micros) -> Option<String> {
    let login = books.login(key)?;
    if !books.cache.is_judged(key) {
        return None;
    }
    if let Some(named) = books.cache.named.get(key)
        && named.published < asked
        && !open.has(&named.xid)
    {
        return Some(tell(books, login, &format!("revoked by name: {named:?}")));
    }
    if is_stillborn(books, login) {
        return None;
    }
    let mut changes = settled(books, login, open, asked)
        .filter(|change| change.cause != Cause::Deleted || leaves_a_trace(books, login, open));
    let why = changes.find_map(|change| {
        rules::must_end(login, change).map(|why| format!("cached, though {why}: {change:?}"))
    })?;
    Some(tell(books, login, &why))
}

/// The deletion of a user leaves no revocation to settle for a session that was gone before.
fn leaves_a_trace(books: &Books, login: &Login, open: &Open) -> bool {
    !books.removed.contains(&login.key) && !open.concerns(login)
}

/// What is still cached when everything has come to rest and should not be: what was found before, and sessions that
/// are in the cache alone.
pub async fn left_over(world: &World, client: &Client) -> Vec<String> {
    let Some(address) = &world.cache else {
        return Vec::new();
    };
    let mut cache = address.connect().await.expect("the cache");
    look(world, client, &mut cache)
        .await
        .expect("the last look");
    let found: Vec<String> = {
        let books = world.ledger.books();
        books.cache.survivors.values().cloned().collect()
    };
    if !found.is_empty() {
        return found;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let alone = alone(world, client, &mut cache).await.expect("a look");
        if alone.is_empty() || Instant::now() > deadline {
            return alone;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Cached sessions that are not in the table.
async fn alone(
    world: &World,
    client: &Client,
    cache: &mut MultiplexedConnection,
) -> Result<Vec<String>, Failure> {
    let cached = cached(cache).await?;
    let rows = client
        .query("select session_key::text from django_session", &[])
        .await?;
    let present: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let books = world.ledger.books();
    let alone = cached.difference(&present);
    let judged = alone.filter(|key| books.cache.is_judged(key));
    Ok(judged
        .map(|key| match books.login(key) {
            Some(login) => tell(&books, login, "cached, and nowhere else"),
            None => format!("cached, and nowhere else, and nobody had logged in: {key}"),
        })
        .collect())
}
