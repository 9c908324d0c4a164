//! Throw-away servers, and the programs beside them.

use std::{path::PathBuf, sync::OnceLock};

use session_reaper::demo::server::{Options, Server};

/// The server of this test binary. It ends with the process, by its own watchdog.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start_server(&[]))
}

/// A server on which transactions can be prepared; NOTIFY is left out there.
pub fn server_with_two_phase_commit() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start_server(&["max_prepared_transactions = 50"]))
}

/// A server of one test's own, to be stopped and started.
pub fn start_server(conf: &[&str]) -> Server {
    start_server_with(conf, Vec::new())
}

/// The same with variables in its environment.
pub fn start_server_with(conf: &[&str], variables: Vec<(String, String)>) -> Server {
    let lines = [
        "fsync = off",
        "max_connections = 200",
        "log_min_messages = warning",
        // What the tests write stays small: it may be a tmpfs that they write to.
        "max_wal_size = 128MB",
    ];
    let conf = lines.iter().chain(conf).map(ToString::to_string).collect();
    let options = Options {
        tcp: true,
        conf,
        variables,
    };
    Server::start(&options).expect("a server for the tests")
}

/// Where a program is installed, or where tests/install has unpacked it. `sbin` is not in everybody's `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/target/programs/starters");
    std::env::split_paths(&path)
        .chain(["/usr/sbin", unpacked].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}
