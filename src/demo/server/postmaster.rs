//! The server's process, a direct child: its end is noticed at once, and no other process can take its place.

use std::fs::{self, File};
use std::process::Child;
use std::time::{Duration, Instant};

use super::cluster::{self, Cluster};
use super::{Error, Shutdown};

const START_S_MAX: u64 = 60;
const STOP_S_MAX: u64 = 60;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A server process that has accepted connections. Dropping it kills it, if it still runs.
pub struct Postmaster(Child);

impl Postmaster {
    /// Starts it on a cluster and waits until it accepts connections.
    pub fn start(cluster: &Cluster) -> Result<Self, Error> {
        let log = cluster.log_file();
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io("open", &log))?;
        let errors = output.try_clone().map_err(Error::io("open", &log))?;
        let mut command = cluster.program("postgres");
        command
            .arg("-D")
            .arg(cluster.data_dir())
            .envs(cluster.variables.iter().map(|(name, value)| (name, value)))
            .stdout(output)
            .stderr(errors);
        let child = command
            .spawn()
            .map_err(Error::io("start", &cluster.bin_dir.join("postgres")))?;
        let mut postmaster = Self(child);
        postmaster.wait_until_ready(cluster)?;
        Ok(postmaster)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end and waits until it has.
    pub fn stop(&mut self, cluster: &Cluster, mode: Shutdown) -> Result<(), Error> {
        if self.has_ended(cluster)? {
            return Ok(());
        }
        let mode = match mode {
            Shutdown::Smart => "smart",
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        };
        let mut command = cluster.program("pg_ctl");
        command.args(["stop", "--no-wait", "--mode", mode, "-D"]);
        cluster::run(command.arg(cluster.data_dir()))?;
        let deadline = Instant::now() + Duration::from_secs(STOP_S_MAX);
        while !self.has_ended(cluster)? {
            if Instant::now() >= deadline {
                return Err(Error::NoStop(STOP_S_MAX));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    // The eighth line of postmaster.pid is what pg_ctl waits for, too; it needs no client.
    fn wait_until_ready(&mut self, cluster: &Cluster) -> Result<(), Error> {
        let file = cluster.data_dir().join("postmaster.pid");
        let deadline = Instant::now() + Duration::from_secs(START_S_MAX);
        while Instant::now() < deadline {
            if says_ready(&fs::read_to_string(&file).unwrap_or_default(), self.pid()) {
                return Ok(());
            }
            if self.has_ended(cluster)? {
                break;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let log = cluster.log();
        let mut tail: Vec<&str> = log.lines().rev().take(5).collect();
        tail.reverse();
        Err(Error::NoStart(tail.join("; ")))
    }

    #[cfg(test)]
    pub fn wait(&mut self) {
        self.0.wait().unwrap();
    }

    fn has_ended(&mut self, cluster: &Cluster) -> Result<bool, Error> {
        self.0
            .try_wait()
            .map(|status| status.is_some())
            .map_err(Error::io("wait for", &cluster.bin_dir.join("postgres")))
    }
}

impl Drop for Postmaster {
    // Harmless after a stop: a child that has been waited for is not signalled again.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// The file of a crashed predecessor can still lie there, hence the comparison of the process.
fn says_ready(file: &str, pid: u32) -> bool {
    let mut lines = file.lines();
    lines.next() == Some(pid.to_string().as_str())
        && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}
