//! How the daemon is told to stop: the first SIGTERM or SIGINT ends it after the current batch, a second
//! one at once, SIGHUP reloads the settings.

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool},
};

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Tells every worker when to stop. Workers look at it between passes only, never inside a transaction.
#[derive(Clone, Debug, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Stops everything that holds a clone.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether it is time to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is time to stop.
    pub async fn stopped(&self) {
        self.0.cancelled().await;
    }

    /// Runs a future to its end, unless it is time to stop before: then returns nothing. Only for waiting;
    /// work that must not be cut in two does not belong in here.
    pub async fn run_until_stopped<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(waiting).await
    }
}

/// Listens for signals until the process ends.
///
/// The second SIGTERM or SIGINT ends the process inside the signal handler itself, so that it works even
/// when nothing else does any more; with the status that a shell gives to a process that a signal ended.
///
/// # Errors
/// When the operating system refuses to register a handler.
pub fn heed_signals(stop: Stop, reload: Arc<Notify>) -> std::io::Result<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // Order matters: the conditional shutdown has to look before the flag is set by the same signal.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            128 + signal,
            Arc::clone(&stopping),
        )?;
        signal_hook::flag::register(signal, Arc::clone(&stopping))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            match signal {
                SIGHUP => reload.notify_one(),
                _ => {
                    tracing::info!(
                        "stopping after the current batch; a second signal stops at once"
                    );
                    stop.stop();
                }
            }
        }
    });
    Ok(())
}
