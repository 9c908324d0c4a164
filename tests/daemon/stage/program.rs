//! Starts the binary, talks to it by signals, and collects what it says.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::stage::{find_program, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_session-reaper");

/// What a command that has ended left behind.
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ended {
    /// Asserts that it failed with this code and one line, which says all of this; an error is a sentence.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, says: &[&str]) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{stdout}{stderr}");
        assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
        assert!(stderr.starts_with("session-reaper: "), "{stderr}");
        for part in says {
            assert!(stderr.contains(part), "{stderr} does not say {part}");
        }
    }

    /// The same with code 1. `run` has begun to log by then, so it is the last line that says it.
    #[track_caller]
    pub fn assert_command_failed(&self, says: &[&str]) {
        let last = self.stderr.lines().last().unwrap_or_default();
        Self {
            code: self.code,
            stdout: self.stdout.clone(),
            stderr: last.to_owned(),
        }
        .assert_refused(1, says);
    }

    /// Asserts that it did what it was asked, in silence on standard error.
    #[track_caller]
    pub fn assert_done(&self) -> &str {
        assert_eq!(
            (self.code, self.stderr.as_str()),
            (Some(0), ""),
            "{}",
            self.stdout
        );
        &self.stdout
    }
}

/// The binary with nothing in its environment that the test has not put there.
pub fn program(url: &str, arguments: &[&str]) -> Command {
    with_nothing_else(Command::new(BINARY), url, arguments)
}

fn with_nothing_else(mut command: Command, url: &str, arguments: &[&str]) -> Command {
    command
        .env_clear()
        .env("DATABASE_URL", url)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub async fn run(url: &str, arguments: &[&str]) -> Ended {
    run_with(url, arguments, &[]).await
}

/// The same with further variables.
pub async fn run_with(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = program(url, arguments);
    command.envs(variables.iter().copied());
    end(command).await
}

/// The same as root without its privileges, which may read only what its user may.
pub async fn run_unprivileged(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(find_program("setpriv").expect("util-linux is essential"));
    command.args(["--bounding-set=-all", "--inh-caps=-all", BINARY]);
    let mut command = with_nothing_else(command, url, arguments);
    command.envs(variables.iter().copied());
    end(command).await
}

async fn end(mut command: Command) -> Ended {
    // On a thread of its own, since a daemon may share this one with the test.
    let ending = tokio::task::spawn_blocking(move || command.output());
    let output = ending.await.unwrap().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    /// Starts it without waiting for anything.
    pub fn start(url: &str) -> Self {
        Self::start_with(url, &[], &[])
    }

    /// The same with further arguments and variables.
    pub fn start_with(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = program(url, &["run"])
            .args(arguments)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&said);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                ears.lock().unwrap().push(line);
            }
        });
        Self { child, said }
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell has kill built in; the program of this name is a package of its own.
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name])
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn ended(&mut self) -> impl Future<Output = ExitStatus> {
        let ended = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&ended);
        let waiting = wait_until("the daemon ends", move || {
            *seen.lock().unwrap() = self.child.try_wait().unwrap();
            let is_over = seen.lock().unwrap().is_some();
            async move { is_over }
        });
        async move {
            waiting.await;
            ended.lock().unwrap().take().unwrap()
        }
    }

    /// The most that it has had resident at once.
    pub fn most_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() / 1024
    }

    /// Everything that it has logged so far.
    pub fn log(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// How many lines contain this.
    pub fn times(&self, part: &str) -> usize {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until a line contains this.
    #[track_caller]
    pub fn says(&self, part: &str) -> impl Future<Output = ()> {
        self.says_again(part, 0)
    }

    /// Waits until more than so many lines contain this.
    #[track_caller]
    pub fn says_again(&self, part: &str, before: usize) -> impl Future<Output = ()> {
        let said = Arc::clone(&self.said);
        let part = part.to_owned();
        wait_until(&format!("the daemon says {part:?}"), move || {
            let said = said.lock().unwrap();
            let times = said.iter().filter(|line| line.contains(&part)).count();
            async move { times > before }
        })
    }

    /// Waits until it listens, and so serves.
    #[track_caller]
    pub fn serves(&self) -> impl Future<Output = ()> {
        self.says("\"listening\"")
    }

    /// Asserts that each line is a JSON object, and returns them.
    pub fn lines(&self) -> Vec<Value> {
        let said = self.said.lock().unwrap();
        let line = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
        };
        said.iter().map(line).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Harmless where it has ended: a child that has been waited for is not signalled again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of settings that goes when it is dropped.
pub struct SettingsFile(PathBuf);

impl SettingsFile {
    /// Writes it to a place of its own.
    pub fn new(text: &str) -> Self {
        let name = format!("session-reaper-test-{:016x}.toml", fastrand::u64(..));
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    /// Writes something else into it.
    pub fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
