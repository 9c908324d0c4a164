//! Why there is no throw-away server.

use std::io;
use std::path::{Path, PathBuf};

/// The variable that overrides the search, for a server that was built by hand.
pub const VARIABLE: &str = "SESSION_REAPER_PG_BINDIR";

/// Why a throw-away server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory has the programs.
    #[error(
        "no PostgreSQL server was found on this machine: install one (`apt-get install postgresql` on Debian \
         and Ubuntu, `dnf install postgresql-server` on Fedora), or name the directory of initdb and postgres in {VARIABLE}"
    )]
    NoServer,
    /// The override is wrong.
    #[error(
        "{VARIABLE} names {0}, which does not hold initdb, postgres and pg_ctl: correct it or unset it"
    )]
    WrongBindir(PathBuf),
    /// Run as root, on a machine without a user to run the server as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody to run it as: \
         start this as another user"
    )]
    NoAccount,
    /// The directory for temporary files is too deep or closed to the server's user.
    #[error(
        "neither {} nor /tmp can hold the server's socket, whose path must stay below 107 bytes and be open to the \
         user it runs as: set TMPDIR to a short one",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// The operating system refused something.
    #[error("cannot {doing} {}: {reason}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// One of the server's programs failed.
    #[error("{} failed: {}", .program.display(), .output.trim())]
    Program {
        /// Which.
        program: PathBuf,
        /// What it printed.
        output: String,
    },
    /// The server ended, or said nothing for too long, while it started.
    #[error("the throw-away PostgreSQL server did not start; its log ends with: {}", .0.trim())]
    NoStart(String),
    /// The server did not end in time.
    #[error(
        "the throw-away PostgreSQL server still runs after {0} s, probably for a client that is connected"
    )]
    NoStop(u64),
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |reason| Self::Io {
            doing,
            path,
            reason,
        }
    }
}
