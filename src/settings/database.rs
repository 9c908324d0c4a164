//! How to reach the database.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How to reach the database. Changes need a restart.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Connection string. Better left out of the file: `DATABASE_URL`, the systemd credential
    /// `database_url` and the `PG*` variables keep passwords out of it.
    pub url: Option<String>,
    /// The file beside the settings that the unit hands over as `database_url`, if it exists: for commands that are run
    /// by hand.
    #[serde(skip)]
    pub url_file: Option<PathBuf>,
    /// Connections for work; the listening connection comes on top.
    pub pool_size: usize,
    /// Longest time that a connection may take to be ready, in seconds.
    pub connect_timeout_s: u64,
    /// Longest time that one statement of the daemon may run, in seconds.
    pub statement_timeout_s: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            pool_size: 4,
            connect_timeout_s: 10,
            statement_timeout_s: 30,
        }
    }
}

impl std::fmt::Debug for Database {
    // The connection string holds a password (P7).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("url", &self.url.as_ref().map(|_| "…"))
            .field("pool_size", &self.pool_size)
            .field("connect_timeout_s", &self.connect_timeout_s)
            .field("statement_timeout_s", &self.statement_timeout_s)
            .finish()
    }
}
