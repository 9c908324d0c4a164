//! The daemon, in the process of the tests.

use session_reaper::{
    connection::Target, daemon::Daemon, process::shutdown::Stop, schema, settings::Settings,
};
use tokio::task::JoinHandle;

/// A daemon in this process. Dropping it kills it, as a crash would; `stop` is the polite way.
pub struct Running {
    stop: Stop,
    task: JoinHandle<Result<(), schema::Error>>,
}

impl Running {
    /// Starts it without waiting for anything. Unless the test names a schedule, none comes round in it: every five
    /// minutes a purge would take the expired sessions from under some test.
    pub fn start(mut settings: Settings, target: Target) -> Self {
        if settings.purge.schedule == Settings::default().purge.schedule {
            "0 0 0 1 1 *".clone_into(&mut settings.purge.schedule);
        }
        let stop = Stop::default();
        let task = tokio::spawn(Daemon::new(settings, target, stop.clone()).run());
        Self { stop, task }
    }

    /// Stops it and waits until it has.
    pub async fn stop(mut self) {
        self.stop.stop();
        (&mut self.task).await.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
