//! Cleans up after a process that was killed and could not do so itself.
//!
//! A shell waits for the end of its input, a pipe that only this process holds open. However the process
//! ends, the pipe closes; the shell then stops the server, if it still runs, and removes the directory. Before
//! that it ends the process group whose number is in the file `group`, if there is one: what manages a server
//! would start it again.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Error;

const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r _
if group=$(cat "$1/group" 2>/dev/null); then
    kill -s KILL -- "-$group" 2>/dev/null
fi
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null; then
    # The server takes its file away last. Its process may stay as a zombie for longer, in a container.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ -e "$1/data/postmaster.pid" ] || break
        sleep 0.1
    done
fi
rm -rf "$1"
"#;

/// The waiting shell. Dropping it lets it remove the directory, and waits until it has.
pub struct Watchdog(Child);

impl Watchdog {
    /// Starts to watch over a server's private directory.
    ///
    /// # Errors
    /// There is no shell to be started.
    pub fn over(dir: &Path) -> Result<Self, Error> {
        Command::new("sh")
            .args(["-c", SCRIPT, "session-reaper-watchdog"])
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches every process of the terminal's foreground group.
            .process_group(0)
            .spawn()
            .map(Self)
            // Nothing else would remove it: the directory is still empty.
            .inspect_err(|_| drop(std::fs::remove_dir(dir)))
            .map_err(Error::io("start a shell that cleans up", dir))
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nothing can be done about a failure here, and the shell goes on without us.
        let _ = self.0.wait();
    }
}
