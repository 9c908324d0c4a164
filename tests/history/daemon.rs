//! The real binary, as an operator would start it, and as faults end it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::world::SETTINGS;

/// A daemon's process. Dropping it kills it.
pub struct Daemon {
    child: Child,
}

/// Starts daemons.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// A link, so that a build during a long run does not change what is tested.
    binary: PathBuf,
    log: PathBuf,
    settings: PathBuf,
    grace_s: u64,
    /// Variables beside those that every run sets.
    variables: Vec<(&'static str, &'static str)>,
}

impl Launcher {
    /// `more` is what the settings say beside what every run's do.
    pub fn new(directory: &Path, grace_s: u64, more: &str) -> Self {
        let binary = directory.join("session-reaper");
        let built = env!("CARGO_BIN_EXE_session-reaper");
        // A copy where the directory is on another disk.
        if std::fs::hard_link(built, &binary).is_err() {
            std::fs::copy(built, &binary).unwrap();
        }
        let settings = directory.join("session-reaper.toml");
        std::fs::write(&settings, format!("{SETTINGS}{more}")).unwrap();
        Self {
            binary,
            settings,
            log: directory.join("daemons.log"),
            grace_s,
            variables: Vec::new(),
        }
    }

    /// The same with one more setting.
    pub fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        self.variables.push((variable, value));
        self
    }

    pub fn start(&self, url: &str) -> Daemon {
        let child = self.command("run", url).spawn().unwrap();
        Daemon { child }
    }

    /// Purges once and returns when that is done. Another daemon may be at it, which is no failure.
    pub fn purge(&self, url: &str) {
        self.command("purge", url).status().unwrap();
    }

    fn command(&self, verb: &str, url: &str) -> Command {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut command = Command::new(&self.binary);
        command
            .arg(verb)
            .env("DATABASE_URL", url)
            .env("SESSION_REAPER_CONFIG", &self.settings)
            .env(
                "SESSION_REAPER_REVOKE_WRITE_BACK_GRACE_S",
                self.grace_s.to_string(),
            )
            .env("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1")
            .env("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1")
            .env("SESSION_REAPER_DATABASE_CONNECT_TIMEOUT_S", "2")
            .env("SESSION_REAPER_DATABASE_STATEMENT_TIMEOUT_S", "5")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .envs(self.variables.iter().copied());
        command
    }
}

impl Launcher {
    /// The end of what all daemons of this run have logged.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Daemon {
    /// SIGSTOP or SIGCONT. Only to a child that has not been waited for, so that the number is still its.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// SIGSTOP or SIGCONT to a child that has not been waited for.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its end is all that is wanted, and it may have come already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
