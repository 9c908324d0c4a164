//! The real binary, as an operator would start it, and as faults end it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::world::SETTINGS;

/// A daemon's process. Dropping it kills it.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    started: Instant,
    /// Until when it may end by itself.
    excused_until: SystemTime,
}

/// Starts daemons.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// A link, so that a build during a long run does not change what is tested.
    binary: PathBuf,
    /// One file a process.
    logs: PathBuf,
    begun: Arc<AtomicUsize>,
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
        // A copy where the directory is on another disk. By another process: what another thread starts just then would
        // inherit the open file, and a program that is open for writing cannot be run.
        if fs::hard_link(built, &binary).is_err() {
            let copied = Command::new("cp").arg(built).arg(&binary).status();
            assert!(copied.is_ok_and(|status| status.success()), "cp {built}");
        }
        let settings = directory.join("session-reaper.toml");
        fs::write(&settings, format!("{SETTINGS}{more}")).unwrap();
        let logs = directory.join("logs");
        fs::create_dir_all(&logs).unwrap();
        Self {
            binary,
            settings,
            logs,
            begun: Arc::default(),
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
        let log = self.new_log();
        let child = self.command("run", url, &log).spawn().unwrap();
        Daemon {
            child,
            log,
            started: Instant::now(),
            excused_until: SystemTime::now(),
        }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// The last thing that it said, if it failed.
    pub fn run(&self, verb: &str, url: &str) -> Result<(), String> {
        let log = self.new_log();
        let status = self.command(verb, url, &log).status().unwrap();
        if status.success() {
            return Ok(());
        }
        Err(last_line(&log))
    }

    fn new_log(&self) -> PathBuf {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.logs.join(number.to_string())
    }

    fn command(&self, verb: &str, url: &str, log: &Path) -> Command {
        let log = File::options().create(true).append(true).open(log).unwrap();
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
    /// The end of what all daemons of this run have logged, each line with its time first.
    pub fn last_words(&self) -> String {
        let logs = fs::read_dir(&self.logs).unwrap();
        let texts: Vec<String> = logs
            .filter_map(|log| fs::read_to_string(log.ok()?.path()).ok())
            .collect();
        let mut lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
        lines.sort_unstable();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}

impl Daemon {
    /// SIGSTOP or SIGCONT. Only to a child that has not been waited for, so that the number is still its.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// For how long it has been there.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// It may end by itself within this time, because it began while it could not start.
    pub fn excuse_for(&mut self, time: Duration) {
        self.excused_until = SystemTime::now() + time;
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it ended with, if it might not.
    pub fn complaint(&mut self) -> Option<String> {
        if !self.has_ended() {
            return None;
        }
        // When it said its last word: whoever asks may come long afterwards.
        let ended = fs::metadata(&self.log).and_then(|log| log.modified());
        let is_excused = ended.is_ok_and(|ended| ended < self.excused_until);
        (!is_excused).then(|| format!("a daemon ended by itself: {}", last_line(&self.log)))
    }
}

/// SIGSTOP or SIGCONT to a child that has not been waited for.
pub fn signal(child: &Child, name: &str) {
    // The shell's own, since not every machine has the program.
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
        .arg(child.id().to_string())
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
