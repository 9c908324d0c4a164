//! The daemon and its schema, as the demo uses them: the one place that knows their interface.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::database;
use super::error::{Error, check};
use super::narrator::{Narrator, count, time};

use crate::connection::Target;
use crate::process::shutdown::Stop;
use crate::schema;
use crate::settings::{Environment, Purge, Settings};

const START_MAX: Duration = Duration::from_secs(20);

/// The daemon, running in this process.
pub struct Daemon {
    stop: Stop,
    task: JoinHandle<Result<(), schema::Error>>,
}

impl Daemon {
    /// Installs the schema, starts the daemon and waits until it serves the database.
    pub async fn start(url: &str, narrator: &Narrator) -> Result<Self, Error> {
        let settings = settings(url);
        // An empty environment: what PG* variables say is about some other server.
        let target = Target::resolve(&settings.database, &Environment::default())
            .map_err(|error| Error::Install(error.to_string()))?;
        let begun = Instant::now();
        let installed = schema::migrate(&target, &settings.site)
            .await
            .map_err(|error| Error::Install(error.to_string()))?;
        narrator.item(
            "installed",
            &format!(
                "{} and {} in {}",
                count(installed.migrations.len(), "migration"),
                count(installed.triggers.len(), "trigger"),
                time(begun.elapsed())
            ),
        );
        let begun = Instant::now();
        let stop = Stop::default();
        let daemon = crate::daemon::Daemon::new(settings, target, stop.clone());
        let daemon = Self {
            stop,
            task: tokio::spawn(daemon.run()),
        };
        daemon.wait_until_serving(url).await?;
        narrator.item(
            "daemon",
            &format!("serving, in this process, after {}", time(begun.elapsed())),
        );
        Ok(daemon)
    }

    /// Stops it as SIGTERM does. An error that had ended it before comes out here.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.stop();
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Daemon(error.to_string())),
            Err(error) => Err(Error::Daemon(error.to_string())),
        }
    }

    async fn wait_until_serving(&self, url: &str) -> Result<(), Error> {
        let client = database::connect(url, "demo-observer").await?;
        let begun = Instant::now();
        while !self.task.is_finished() {
            let row = client
                .query_one("select session_reaper.is_served()", &[])
                .await?;
            if row.get(0) {
                return Ok(());
            }
            check(begun.elapsed() < START_MAX, || {
                "the daemon should serve the database by now".to_owned()
            })?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Its own error is what `stop` returns.
        Ok(())
    }
}

// What a site would set: nothing but the connection. Only the purge runs more often, so that the story does not wait
// for it.
fn settings(url: &str) -> Settings {
    let mut settings = Settings {
        purge: Purge {
            schedule: "* * * * * *".to_owned(),
            ..Purge::default()
        },
        ..Settings::default()
    };
    settings.database.url = Some(url.to_owned());
    settings
}
