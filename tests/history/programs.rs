//! PostgreSQL's programs, run as the user whose a server's directory is.

use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use session_reaper::demo::server::Server;

/// Those of one server, and the directory that they work in.
#[derive(Clone)]
pub struct Programs {
    bin: PathBuf,
    pub dir: PathBuf,
}

impl Programs {
    pub fn of(server: &Server) -> Self {
        Self {
            bin: server.bin_dir().to_owned(),
            dir: server.socket_dir().to_owned(),
        }
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        let owner = self.dir.metadata().unwrap();
        let is_root = Path::new("/proc/self").metadata().unwrap().uid() == 0;
        if is_root {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub fn run(&self, name: &str, arguments: &[&str]) {
        self.output(name, arguments);
    }

    /// What it prints.
    pub fn output(&self, name: &str, arguments: &[&str]) -> String {
        let mut command = self.command(name);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}
