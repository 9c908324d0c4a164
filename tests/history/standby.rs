//! A standby of the run's server: copied from it, kept in step with it, promoted when it is gone.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
};

use session_reaper::demo::server::Server;
use tokio_postgres::Client;

use crate::{programs::Programs, world::connect};

/// Only for the name of its socket, which lies beside the server's.
pub const PORT: u16 = 1;

/// A running standby. Dropping it kills it.
pub struct Standby {
    child: Child,
    programs: Programs,
    data: PathBuf,
}

impl Standby {
    /// Copies the server while it works, and follows it from there.
    pub fn of(server: &Server) -> Self {
        let programs = Programs::of(server);
        let data = programs.dir.join("standby");
        let source = format!(
            "host={} port={} user=postgres",
            programs.dir.display(),
            server.port()
        );
        let data_text = data.to_str().unwrap();
        programs.run(
            "pg_basebackup",
            &[
                "-D",
                data_text,
                "-R",
                "-d",
                &source,
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
            ],
        );
        let child = Self::start(&programs, &data);
        Self {
            child,
            programs,
            data,
        }
    }

    fn start(programs: &Programs, data: &Path) -> Child {
        let log = File::create(programs.dir.join("standby.log")).unwrap();
        programs
            .command("postgres")
            .arg("-D")
            .arg(data)
            .args(["-c", &format!("port={PORT}"), "-c", "listen_addresses="])
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Waits until it answers.
    pub async fn connect(&self, database: &str) -> Client {
        let directory = self.programs.dir.display();
        let url = format!("postgresql:///{database}?host={directory}&port={PORT}&user=postgres");
        connect(|| url.clone()).await
    }

    /// Makes it a primary, and returns when it is one.
    pub fn promote(&self) {
        let data = self.data.to_str().unwrap();
        self.programs.run("pg_ctl", &["promote", "-w", "-D", data]);
    }

    /// Lets it take the place of the server, which has stopped: its directory, and with that its address.
    pub fn take_place(mut self, server: &mut Server) {
        let data = self.data.to_str().unwrap();
        self.programs
            .run("pg_ctl", &["stop", "-w", "-m", "fast", "-D", data]);
        self.child.wait().unwrap();
        fs::remove_dir_all(server.data_dir()).unwrap();
        fs::rename(&self.data, server.data_dir()).unwrap();
        server.start_again().expect("the new primary");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // After take_place() it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
