//! A dump of the site, and what is restored from it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use session_reaper::demo::server::Server;

use crate::{programs::Programs, run::Scratch};

/// A dump of the site.
pub struct Dump {
    file: PathBuf,
    database: &'static str,
    _directory: Scratch,
}

impl Dump {
    pub fn of(server: &Server, database: &'static str) -> Self {
        let directory = Scratch::create();
        let programs = Programs::of(server);
        // The server's user writes it.
        let file = server.socket_dir().join("site.dump");
        programs.run(
            "pg_dump",
            &["-Fc", "-f", text(&file), &server.url(database)],
        );
        let kept = directory.0.join("site.dump");
        fs::rename(&file, &kept).unwrap();
        Self {
            file: kept,
            database,
            _directory: directory,
        }
    }

    /// One table after the other, with these pauses in between.
    pub fn restore(self, server: Server, pauses: &[Duration]) -> Server {
        let (programs, url) = (Programs::of(&server), server.url(self.database));
        let (dump, list) = (
            server.socket_dir().join("site.dump"),
            server.socket_dir().join("site.list"),
        );
        fs::rename(&self.file, &dump).unwrap();
        let restore = |how: &[&str]| {
            let arguments = [how, &["-e", "-d", &url, text(&dump)]].concat();
            programs.run("pg_restore", &arguments);
        };
        let mut pauses = pauses.iter().cycle();
        let mut rest = || std::thread::sleep(pauses.next().copied().unwrap_or_default());
        restore(&["--section=pre-data"]);
        rest();
        let contents = programs.output("pg_restore", &["-l", text(&dump)]);
        let tables = |line: &&str| line.contains(" TABLE DATA ") || line.contains(" SEQUENCE SET ");
        for line in contents.lines().filter(tables) {
            fs::write(&list, line).unwrap();
            restore(&["-L", text(&list)]);
            rest();
        }
        restore(&["--section=post-data"]);
        server
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
