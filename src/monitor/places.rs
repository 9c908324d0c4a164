//! How many visits are answered at once, and which one ends to make room for another.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::timeout,
};

/// This many are answered at once; others wait until one has left.
const MOST_AT_ONCE: usize = 32;

/// How long a visit may send nothing although others wait: its request is on its way.
const PATIENCE: Duration = Duration::from_millis(250);

/// The visits that are being answered, the longest first.
pub struct Places {
    free: Arc<Semaphore>,
    taken: VecDeque<Visit>,
}

struct Visit {
    since: Instant,
    has_asked: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            taken: VecDeque::new(),
        }
    }
}

impl Places {
    /// Begins a visit, which has to report when it has asked for something.
    ///
    /// Where all places are taken, the oldest visit that has not asked yet ends to make room: connections that are held
    /// open and send nothing cannot keep a health check from its answer.
    pub async fn admit<F>(&mut self, visit: impl FnOnce(Arc<AtomicBool>) -> F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let place = self.find_a_place().await;
        let has_asked = Arc::new(AtomicBool::new(false));
        let visit = visit(Arc::clone(&has_asked));
        let task = tokio::spawn(async move {
            visit.await;
            drop(place);
        });
        self.taken.push_back(Visit {
            since: Instant::now(),
            has_asked,
            task: task.abort_handle(),
        });
    }

    async fn find_a_place(&mut self) -> OwnedSemaphorePermit {
        loop {
            self.taken.retain(|visit| !visit.task.is_finished());
            if self.taken.len() >= MOST_AT_ONCE {
                self.end_a_silent_one();
            }
            let place = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(place)) = timeout(PATIENCE, place).await {
                return place;
            }
        }
    }

    fn end_a_silent_one(&mut self) {
        let is_silent = |visit: &Visit| {
            !visit.has_asked.load(Ordering::Relaxed) && visit.since.elapsed() >= PATIENCE
        };
        let place = self.taken.iter().position(is_silent);
        if let Some(visit) = place.and_then(|place| self.taken.remove(place)) {
            visit.task.abort();
        }
    }
}
