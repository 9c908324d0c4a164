//! Finds out who is logged in to sessions that say so only in their data.
//!
//! Triggers note which sessions have been written. The reader takes these off their queue, reads what stands in the
//! sessions now, and links them; steadily, and before every revocation and every settling. Sessions that nobody noted,
//! because they are older than the triggers, it finds by going through the table once, page by page.

mod complaints;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::Transaction;

use crate::{
    connection::{Error, Pool, answered},
    reading::{
        self, Linked,
        page::{self, Claim},
    },
    schema::Reading,
    worker::{InForce, Worker},
};
use complaints::Complaints;

/// While the queue is being emptied nobody can save a session, so that is not tried all the time.
const BETWEEN_TRIES_TO_EMPTY: Duration = Duration::from_secs(30);

/// How long a revocation is held up for what has not been read yet.
const LONGEST_ON_THE_WAY: Duration = Duration::from_millis(500);

/// Reads; see the module. Clones are one reader.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
    settings: InForce,
    reading: Arc<Reading>,
    /// Whether the queue has been read from its beginning: how far it was read before says nothing in a database that
    /// was restored from a dump.
    knows_queue: Arc<AtomicBool>,
    complaints: Complaints,
    tried_to_empty: Option<Instant>,
}

impl Worker for Reader {
    const TASK: &'static str = "read sessions for their users";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        if !self.reading.reads() {
            return Ok(Duration::from_secs(settings.listen.poll_interval_s));
        }
        let begun = Instant::now();
        let more_queued = match answered(&self.pool, self.drain_some()).await {
            // Another daemon, or another worker of this one, is at it.
            Err(error) if error.is_lock_timeout() => false,
            result => result?,
        };
        if !more_queued {
            self.empty_full_queue().await?;
        }
        Ok(if self.read_page().await?.is_some() || more_queued {
            // The site must not notice (P6). Who is in a hurry, a revocation, drains without pauses.
            begun.elapsed().mul_f64(settings.link.pause_ratio)
        } else {
            Duration::from_secs(settings.link.poll_interval_s)
        })
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Reader {
    /// A reader that takes its connections from this pool.
    pub fn new(pool: Pool, settings: InForce, reading: Reading) -> Self {
        Self {
            pool,
            settings,
            reading: Arc::new(reading),
            knows_queue: Arc::default(),
            complaints: Complaints::default(),
            tried_to_empty: None,
        }
    }

    /// Links every session whose data had been committed when this began, but for those that are locked.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn drain(&self) -> Result<(), Error> {
        self.drain_within(Duration::MAX).await
    }

    /// Begins no further batch once this time has passed.
    async fn drain_within(&self, longest: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        while self.reading.reads() && answered(&self.pool, self.drain_some()).await? {
            if begun.elapsed() >= longest {
                break;
            }
        }
        Ok(())
    }

    /// The same on the way to something else, which must neither fail because of it nor wait for a queue that has grown
    /// long while there was no daemon: what is linked already can be ended, what has not been read keeps revocations
    /// from settling, and the reader itself complains.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn try_to_drain(&self) -> Result<(), Error> {
        match self.drain_within(LONGEST_ON_THE_WAY).await {
            Err(error) if error.is_transient() && !error.is_lock_timeout() => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for a session that this revocation could not end so far, and links it by what stands in it now; whoever
    /// sweeps in the same transaction finds it locked and read.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement, also because the wait took too long.
    pub async fn read_contested(
        &self,
        transaction: &Transaction<'_>,
        revocation: i64,
    ) -> Result<(), Error> {
        let find_user = |data: &[u8]| self.reading.find_user(data);
        let unread = reading::take_contested(transaction, revocation, find_user).await?;
        if !unread.found.is_empty() {
            reading::link_unread(transaction, &unread).await?;
        }
        Ok(())
    }

    /// One batch of the queue; returns whether another look is worth it.
    async fn drain_some(&self) -> Result<bool, Error> {
        let most = self.settings.now().link.batch_rows;
        let anew = !self.knows_queue.load(Ordering::Relaxed);
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let find_user = |data: &[u8]| self.reading.find_user(data);
        let unread = reading::take_unread(&transaction, most, anew, find_user).await?;
        let linked = if unread.found.is_empty() {
            Linked::default()
        } else {
            reading::link_unread(&transaction, &unread).await?
        };
        let strange = reading::count_unreadable(&transaction, &unread.found).await?;
        transaction.commit().await?;
        self.complaints.tell(&strange);
        // Where all of them were locked, another look would only find the same ones.
        let all_postponed = usize::try_from(linked.postponed)
            .is_ok_and(|postponed| postponed >= unread.found.len());
        let is_done = unread.is_all || all_postponed;
        if is_done {
            self.knows_queue.store(true, Ordering::Relaxed);
        }
        Ok(!is_done)
    }

    /// The next page of sessions that are older than the triggers, and how many that were; nothing if there are none, or
    /// others are at it.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn read_page(&self) -> Result<Option<i64>, Error> {
        answered(&self.pool, async {
            let most = self.settings.now().link.batch_rows;
            let mut client = self.pool.get().await?;
            let transaction = client.transaction().await?;
            let find_user = |data: &[u8]| self.reading.find_user(data);
            let claim = page::claim_page(&transaction, most, find_user).await?;
            let Claim::Page(unlinked) = claim else {
                transaction.commit().await?;
                if matches!(claim, Claim::Completed) {
                    tracing::info!("every session has been read for its user");
                }
                return Ok(None);
            };
            let sessions = page::link_page(&transaction, &unlinked).await?;
            let strange = reading::count_unreadable(&transaction, &unlinked.found).await?;
            transaction.commit().await?;
            self.complaints.tell(&strange);
            Ok(Some(sessions))
        })
        .await
    }

    async fn empty_full_queue(&mut self) -> Result<(), Error> {
        if self
            .tried_to_empty
            .is_some_and(|last| last.elapsed() < BETWEEN_TRIES_TO_EMPTY)
        {
            return Ok(());
        }
        self.tried_to_empty = Some(Instant::now());
        let emptied = answered(&self.pool, async {
            let mut client = self.pool.get().await?;
            let transaction = client.transaction().await?;
            let emptied = reading::empty_full_queue(&transaction).await?;
            transaction.commit().await?;
            Ok(emptied)
        })
        .await?;
        if emptied {
            tracing::warn!(
                "so many sessions had been written unread that no more were noted; all sessions are read again"
            );
        }
        Ok(())
    }
}
