//! Finds out who is logged in to sessions that tell it only in their data.
//!
//! Triggers note which sessions have been written. The linker takes these off their queue, reads what the sessions hold
//! now, and links them: steadily, and before every revocation and every settling. Some sessions were not noted, because
//! they are older than the triggers. The linker finds these by going through the table once, page by page.

mod by_hand;
mod drain;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::Transaction;

use super::complaints::Complaints;
use super::{
    pages::{self, Claim},
    queue, waiting,
};
use crate::{
    connection::{Database, Error},
    schema::UserSource,
    worker::{InForce, Worker, blocked::Blocked, size::Size},
};

/// While the queue is being emptied the app can save no session, so that is not tried all the time.
const BETWEEN_TRIES_TO_EMPTY: Duration = Duration::from_secs(30);

/// Reads; see the module. Clones are one linker.
#[derive(Clone)]
pub struct Linker {
    database: Database,
    settings: InForce,
    user_source: Arc<UserSource>,
    /// Whether the queue has been read from its beginning: how far it was read before means nothing in a database that
    /// was restored from a dump.
    knows_queue: Arc<AtomicBool>,
    complaints: Complaints,
    tried_to_empty: Option<Instant>,
    blocked: Blocked,
    size: Size,
}

impl Worker for Linker {
    const NAME: &'static str = "linker";
    const TASK: &'static str = "link sessions to their users";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        if !self.user_source.is_in_session() {
            return Ok(Duration::from_secs(settings.listen.poll_interval_s));
        }
        let begun = Instant::now();
        let waiting = waiting::look(&self.database).await?;
        let mut more_queued = false;
        if waiting.queued || !self.knows_queue() {
            // Another daemon, or another worker of this one, may be draining it.
            let drained = self.size.note(self.drain_some().await);
            more_queued = self.blocked.pass(drained)?.unwrap_or(false);
        }
        if waiting.is_full && !more_queued {
            self.empty_full_queue().await?;
        }
        let has_linked_page = waiting.pages && self.backfill_page().await?.is_some();
        Ok(if has_linked_page || more_queued {
            // The site must not notice (P6). A revocation, which is in a hurry, drains without pauses.
            begun.elapsed().mul_f64(settings.link.pause_ratio)
        } else {
            Duration::from_secs(settings.link.poll_interval_s)
        })
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Linker {
    /// A linker that works on this database.
    pub fn new(database: Database, settings: InForce, user_source: UserSource) -> Self {
        Self {
            database,
            settings,
            user_source: Arc::new(user_source),
            knows_queue: Arc::default(),
            complaints: Complaints::default(),
            tried_to_empty: None,
            blocked: Blocked::default(),
            size: Size::default(),
        }
    }

    /// Waits for a session that this revocation could not end so far, and links it by what it holds now; a sweep in the
    /// same transaction finds it locked and read.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement, also because the wait took too long.
    pub async fn link_contested(
        &self,
        transaction: &Transaction<'_>,
        revocation: i64,
    ) -> Result<(), Error> {
        let find_user = |data: &[u8]| self.user_source.find_user(data);
        let mut pending = queue::take_contested(transaction, revocation, find_user).await?;
        if !pending.found.is_empty() {
            queue::link_pending(transaction, &mut pending, self.at_once()).await?;
            queue::count_unreadable(transaction, &pending.found).await?;
        }
        Ok(())
    }

    fn knows_queue(&self) -> bool {
        self.knows_queue.load(Ordering::Relaxed)
    }

    /// How many rows go into one statement.
    fn at_once(&self) -> usize {
        self.size.of(self.settings.now().link.batch_rows) as usize
    }

    /// Links the next page of sessions that are older than the triggers. Returns how many they were; nothing if there
    /// are none, or if others are linking them.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn backfill_page(&self) -> Result<Option<i64>, Error> {
        self.size.note(self.read_page().await)
    }

    async fn read_page(&self) -> Result<Option<i64>, Error> {
        let read = self.database.work(async |mut client| {
            let most = self.settings.now().link.batch_rows;
            let transaction = client.transaction().await?;
            let find_user = |data: &[u8]| self.user_source.find_user(data);
            let claim = pages::claim_page(&transaction, most, find_user).await?;
            let Claim::Page(mut unlinked) = claim else {
                transaction.commit().await?;
                if matches!(claim, Claim::Completed) {
                    tracing::info!("every session has been read for its user");
                }
                return Ok(None);
            };
            let sessions = pages::link_page(&transaction, &mut unlinked, self.at_once()).await?;
            let strange = queue::count_unreadable(&transaction, &unlinked.found).await?;
            transaction.commit().await?;
            self.complaints.tell(&strange);
            Ok(Some(sessions))
        });
        read.await
    }

    async fn empty_full_queue(&mut self) -> Result<(), Error> {
        if self
            .tried_to_empty
            .is_some_and(|last| last.elapsed() < BETWEEN_TRIES_TO_EMPTY)
        {
            return Ok(());
        }
        self.tried_to_empty = Some(Instant::now());
        let emptied = self
            .database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                let emptied = queue::empty_full_queue(&transaction).await?;
                transaction.commit().await?;
                Ok(emptied)
            })
            .await?;
        if emptied {
            tracing::warn!(
                "so many sessions had been written that no more were noted; all sessions are read again"
            );
        }
        Ok(())
    }
}
