//! The daemon as operators run it: the real binary, in a process that can be killed and stopped.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// The binary's settings that notice everything as early as possible.
pub const EAGER: [(&str, &str); 2] = [
    ("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1"),
    ("SESSION_REAPER_LISTEN_POLL_INTERVAL_S", "1"),
];

/// A running process of the real binary. Dropping it kills it.
pub struct Binary {
    child: Child,
    log: PathBuf,
}

impl Binary {
    /// Starts the daemon with nothing in its environment but the database and these settings.
    pub fn run(url: &str, settings: &[(&str, &str)]) -> Self {
        let log =
            std::env::temp_dir().join(format!("session-reaper-{:016x}.log", fastrand::u64(..)));
        let output = File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_session-reaper"))
            .arg("run")
            .env_clear()
            .env("DATABASE_URL", url)
            .envs(settings.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        // The shell's own, since not every machine has the program.
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success(), "kill -{name}");
    }

    /// Kills it, as the kernel does when memory runs out.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it is still the process that was started.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
        let _ = std::fs::remove_file(&self.log);
    }
}
