//! Reads what waits in the queue: steadily, and on the way to every revocation and every settling.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::Linker;
use crate::{
    connection::Error,
    link::{
        queue::{self, Linked},
        waiting,
    },
};

/// How long a revocation is held up for what has not been read yet.
const LONGEST_ON_THE_WAY: Duration = Duration::from_millis(500);

impl Linker {
    /// Begins no further batch once its time is over.
    async fn drain_for_a_moment(&self) -> Result<(), Error> {
        let begun = Instant::now();
        while self.user_source.is_in_session() && self.size.note(self.drain_some().await)? {
            if begun.elapsed() >= LONGEST_ON_THE_WAY {
                break;
            }
        }
        Ok(())
    }

    /// Links what waits, on the way to other work. That work must neither fail because of it nor wait for a queue that
    /// has grown long while there was no daemon: what is linked already can be ended, what has not been read keeps
    /// revocations from settling, and the linker itself complains.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn try_to_drain(&self) -> Result<(), Error> {
        if !self.user_source.is_in_session() || self.has_linked_all().await {
            return Ok(());
        }
        match self.drain_for_a_moment().await {
            Err(error)
                if error.is_transient() && !error.is_lock_timeout() && !error.is_out_of_time() =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Whether what waits has to be linked before sessions end. A queue that nobody here has read from its beginning is
    /// drained now: the database cannot tell what waits in it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn comes_first(&self) -> Result<bool, Error> {
        if !self.knows_queue() {
            self.try_to_drain().await?;
        }
        Ok(self.user_source.is_in_session())
    }

    /// Where that cannot be told, the drain finds out why.
    async fn has_linked_all(&self) -> bool {
        let look = waiting::is_any_link_pending(&self.database);
        self.knows_queue() && matches!(look.await, Ok(false))
    }

    /// One batch of the queue; returns whether another look is worth it.
    pub(super) async fn drain_some(&self) -> Result<bool, Error> {
        let most = self.size.of(self.settings.now().link.batch_rows);
        let anew = !self.knows_queue();
        self.database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                let find_user = |data: &[u8]| self.user_source.find_user(data);
                let mut pending =
                    queue::take_pending_links(&transaction, most, anew, find_user).await?;
                let linked = if pending.found.is_empty() {
                    Linked::default()
                } else {
                    queue::link_pending(&transaction, &mut pending, self.at_once()).await?
                };
                let strange = queue::count_unreadable(&transaction, &pending.found).await?;
                transaction.commit().await?;
                self.complaints.tell(&strange);
                // Where all of them were locked, another look would only find the same ones.
                let all_postponed = usize::try_from(linked.postponed)
                    .is_ok_and(|postponed| postponed >= pending.found.len());
                let is_done = pending.is_all || all_postponed;
                if is_done {
                    self.knows_queue.store(true, Ordering::Relaxed);
                }
                Ok(!is_done)
            })
            .await
    }
}
