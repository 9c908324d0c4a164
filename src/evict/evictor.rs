//! Has the cache beside the session table forget what has been deleted there (P5).
//!
//! The cache answers for a cached session without asking the table. The transaction that deletes the session's row
//! notes the key. Once that has committed, the key is evicted, and after a grace once more, since a request that had
//! read the row before may have filled the cache meanwhile. Until the cache has confirmed both, the revocation that
//! ended the session does not settle. What is still to be evicted is in the database: a cache that is down, a restart
//! of the daemon or its death loses nothing.

use std::time::{Duration, Instant};

use super::pending::{self, BATCH_KEYS};
use crate::{
    cache::{self, Cache},
    connection::{Database, Error},
    settings::{self, CacheKind, Names, Settings},
    worker::{InForce, Worker, backoff::Backoff, bell::Bell, size::Size},
};

const NO_CACHE: &str = "sessions wait to be evicted, and this daemon knows of no cache: name it in [cache], or run `session-reaper migrate` without one";

/// How long a session is left alone while the app is writing it into a cache that is a table.
const WHILE_LOCKED: Duration = Duration::from_millis(50);

/// Evicts; see the module.
pub struct Evictor {
    database: Database,
    settings: InForce,
    /// Told when an eviction is done that a revocation may have waited for.
    settler: Bell,
    /// The cache as it was last opened, and by which settings.
    opened: Option<(settings::Cache, Cache)>,
    pace: Backoff,
    /// How many at once: a table may have a trigger that takes its time.
    size: Size,
    /// Since when it fails, and how often it has.
    failing: Option<(Instant, u32)>,
}

impl Worker for Evictor {
    const NAME: &'static str = "evictor";
    const TASK: &'static str = "look for what the cache has to forget";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        match &settings.cache {
            Some(cache) if cache.kind == CacheKind::Table => self.evict_from_table(cache).await,
            Some(cache) if !matches!(cache.kind, CacheKind::InProcess | CacheKind::None) => {
                let result = self.evict_outside(cache).await;
                self.size.note(result)
            }
            _ => self.look_for_a_mistake(&settings).await,
        }
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Evictor {
    /// An evictor that works on this database.
    pub fn new(database: Database, settings: InForce, settler: Bell) -> Self {
        Self {
            database,
            settings,
            settler,
            opened: None,
            pace: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
            size: Size::default(),
            failing: None,
        }
    }

    async fn evict_outside(&mut self, settings: &settings::Cache) -> Result<Duration, Error> {
        let due = take(&self.database, settings, self.size.of(BATCH_KEYS)).await?;
        if due.session_keys.is_empty() {
            return Ok(self.rest(settings));
        }
        let began = Instant::now();
        match self.evict(settings, &due.session_keys).await {
            Ok(()) => {
                pending::confirm(&self.database, &due).await?;
                tracing::debug!(
                    sessions = due.session_keys.len(),
                    ms = began.elapsed().as_millis(),
                    "evicted"
                );
                self.succeeded();
                Ok(Duration::ZERO)
            }
            Err(error) => {
                let sentence = error.to_string();
                pending::failed(&self.database, &sentence).await?;
                Ok(self.failed(&sentence))
            }
        }
    }

    /// Installed with a cache and started without one: what is noted for the cache would keep revocations open for
    /// ever, and the operator would not know why.
    async fn look_for_a_mistake(&mut self, settings: &Settings) -> Result<Duration, Error> {
        // Without a cache, the daemon's role may look at the list but not take from it.
        if !pending::is_any(&self.database).await? {
            return Ok(Duration::from_secs(settings.listen.poll_interval_s));
        }
        let due = pending::take(&self.database, 1, 0).await?;
        if !due.session_keys.is_empty() {
            pending::failed(&self.database, NO_CACHE).await?;
            self.failed(NO_CACHE);
        }
        Ok(Duration::from_secs(settings.listen.poll_interval_s))
    }

    /// A cache whose settings have changed is another one.
    async fn evict(
        &mut self,
        settings: &settings::Cache,
        session_keys: &[String],
    ) -> Result<(), cache::Error> {
        let is_same = matches!(&self.opened, Some((by, _)) if by == settings);
        if !is_same {
            self.opened = Some((settings.clone(), Cache::open(settings)?));
        }
        match &mut self.opened {
            Some((_, cache)) => cache.evict(session_keys).await,
            None => Ok(()),
        }
    }

    async fn evict_from_table(&mut self, settings: &settings::Cache) -> Result<Duration, Error> {
        // The settings have been checked at the start and at every reload.
        let names = Names::of(settings);
        let pieces = names.as_ref().map_or(&[][..], Names::pieces);
        // As many as ever: those that cannot be deleted come first, and must not fill the whole batch.
        let due = take(&self.database, settings, BATCH_KEYS).await?;
        if due.session_keys.is_empty() {
            return Ok(self.rest(settings));
        }
        let evicted = pending::evict_from_table(&self.database, &due, pieces, &self.size).await?;
        if let Some(sqlstate) = evicted.refused {
            let sentence = format!(
                "an entry cannot be deleted from the table, or not in time, perhaps because of a trigger of the site's (SQLSTATE {sqlstate})"
            );
            pending::failed(&self.database, &sentence).await?;
            // The others are evicted, and a revocation that waited only for those may settle.
            self.settler.ring();
            return Ok(self.failed(&sentence));
        }
        if evicted.postponed > 0 {
            return Ok(WHILE_LOCKED);
        }
        self.succeeded();
        Ok(Duration::ZERO)
    }

    /// Until the app or another client may have deleted a session. A grace that ends meanwhile waits as long.
    fn rest(&self, settings: &settings::Cache) -> Duration {
        Duration::from_secs(settings.poll_interval_s)
    }

    fn succeeded(&mut self) {
        self.pace.reset();
        self.settler.ring();
        if let Some((since, attempts)) = self.failing.take() {
            tracing::info!(
                attempts,
                failed_s = since.elapsed().as_secs(),
                "the cache confirms evictions again"
            );
        }
    }

    /// Logged less and less often. Returns how long to rest.
    fn failed(&mut self, error: &str) -> Duration {
        let rest = self.pace.next();
        let (_, attempts) = self.failing.get_or_insert((Instant::now(), 0));
        *attempts += 1;
        if attempts.is_power_of_two() {
            tracing::warn!(
                error,
                attempts,
                retry_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX),
                "could not evict sessions from the cache, which still answers for them; their revocations stay open"
            );
        }
        rest
    }
}

/// What is due, without keys that no entry's name can contain.
async fn take(
    database: &Database,
    settings: &settings::Cache,
    most: u32,
) -> Result<pending::Due, Error> {
    let due = pending::take(database, most, settings.refill_grace_s).await?;
    pending::set_nameless_aside(database, &due).await?;
    Ok(due)
}
