//! A process that has a directory of its own and ends with the test, however that ends.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use session_reaper::demo::server::{Account, Watchdog, private_directory};

/// A directory, and later what runs in it. Dropping it ends all of that and removes the directory.
pub struct Process {
    dir: PathBuf,
    account: Account,
    child: Option<Child>,
    watchdog: Option<Watchdog>,
}

impl Process {
    /// Makes the directory.
    pub fn new() -> Self {
        let dir = private_directory().unwrap();
        let watchdog = Some(Watchdog::over(&dir).unwrap());
        let account = Account::that_may_own(&dir).unwrap();
        Self {
            dir,
            account,
            child: None,
            watchdog,
        }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a program with nothing in its environment that is about some other server. The shell in front of it
    /// leaves its number for the watchdog before there is anything to end.
    pub fn start(&mut self, program: &Path, arguments: &[&str]) {
        let log = File::create(self.dir.join("output")).unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ >group && exec \"$@\"", "sh"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        self.child = Some(self.account.runs(&mut command).spawn().unwrap());
    }

    /// Kills it and the server that it manages, as a loss of power does.
    pub fn kill(&mut self) {
        let postmaster = self.dir.join("data/postmaster.pid");
        let server = fs::read_to_string(&postmaster).unwrap();
        let server = server.lines().next().unwrap();
        let child = self.child.as_mut().unwrap();
        let killed = Command::new("sh")
            .args(["-c", "kill -KILL \"$@\"", "sh"])
            .args([&child.id().to_string(), server])
            .status();
        assert!(killed.unwrap().success());
        child.wait().unwrap();
        // These numbers may soon be somebody else's.
        fs::remove_file(self.dir.join("group")).unwrap();
        fs::remove_file(postmaster).unwrap();
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("output")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.dir.display(), self.log());
        }
        self.watchdog = None;
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
    }
}
