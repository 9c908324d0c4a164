//! What all workers share: after a failed pass they report it once, rest, and try again. Nothing that the database does
//! ends them.

pub(crate) mod backoff;
pub(crate) mod bell;
pub(crate) mod blocked;
pub mod failures;
pub(crate) mod halving;
pub(crate) mod passing;
pub(crate) mod size;
pub mod trouble;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    connection::{Database, Error},
    process::{repeated::Repeated, shutdown::Stop},
    settings::Settings,
    worker::{backoff::Backoff, bell::Bell, trouble::Trouble},
};

/// The settings in force; SIGHUP may change them between two passes.
#[derive(Clone, Debug)]
pub struct InForce(watch::Receiver<Arc<Settings>>);

impl InForce {
    /// Settings together with the way to change them.
    pub fn new(settings: Settings) -> (watch::Sender<Arc<Settings>>, Self) {
        let (sender, receiver) = watch::channel(Arc::new(settings));
        (sender, Self(receiver))
    }

    /// Those that are in force now.
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits until they change; for ever if they cannot change any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Something that is done again and again, a pass at a time.
pub trait Worker {
    /// For `status` and metrics.
    const NAME: &'static str;

    /// For log lines: "could not …".
    const TASK: &'static str;

    /// One pass. Returns how long to rest before the next one, unless the bell rings earlier.
    fn run_once(&mut self) -> impl Future<Output = Result<Duration, Error>> + Send;

    /// The database that the passes work on.
    fn database(&self) -> &Database;
}

/// Runs passes until it is time to stop. A pass that has begun is finished.
pub async fn run<W: Worker>(mut worker: W, bell: Bell, stop: Stop, mut trouble: Trouble) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    let complaints = Repeated::default();
    while !stop.is_stopped() {
        match worker.run_once().await {
            Ok(rest) => {
                backoff.reset();
                trouble.over(worker.database()).await;
                stop.run_until_stopped(bell.rung_within(rest)).await;
            }
            Err(error) => {
                let rest = backoff.next();
                if !trouble.is_outage(&error) {
                    complain(W::TASK, &complaints, &error, rest);
                }
                worker.database().drop_useless(&error);
                trouble.note(worker.database(), &error).await;
                // The bell is not listened to here: a ring now would only cause the same complaint.
                stop.run_until_stopped(tokio::time::sleep(rest)).await;
            }
        }
    }
    trouble.over(worker.database()).await;
}

/// An error that lasts is reported less and less often.
fn complain(task: &str, complaints: &Repeated, error: &Error, rest: Duration) {
    let Some(times) = complaints.count_of(&error.to_string()) else {
        return;
    };
    let retry_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
    if error.is_transient() {
        tracing::warn!(%error, times, retry_ms, "could not {task}; trying again");
    } else {
        tracing::error!(%error, times, retry_ms, "could not {task}; trying again");
    }
}
