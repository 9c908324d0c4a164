//! The files of a server: its private directory, its data, its configuration.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::account::{self, Account};
use super::{Error, Options};

// A Unix socket's address ends at 107 bytes; the name of the socket in the directory takes some of them.
const DIR_BYTES_MAX: usize = 107 - "/.s.PGSQL.65535".len();

/// A created cluster and what it takes to run programs on it.
pub struct Cluster {
    pub bin_dir: PathBuf,
    pub dir: PathBuf,
    pub variables: Vec<(String, String)>,
    account: Account,
}

impl Cluster {
    /// Runs `initdb` in the directory, which from then on belongs to the server's user.
    pub fn create(
        bin_dir: PathBuf,
        dir: PathBuf,
        port: u16,
        options: &Options,
    ) -> Result<Self, Error> {
        let cluster = Self {
            account: Account::that_may_own(&dir)?,
            bin_dir,
            dir,
            variables: options.variables.clone(),
        };
        let mut initdb = cluster.program("initdb");
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(cluster.data_dir());
        run(&mut initdb)?;
        cluster.configure(port, options)?;
        Ok(cluster)
    }

    /// Copies a cluster whose server runs at this URL, as a standby of it.
    pub fn copy(primary: &Self, url: &str, dir: PathBuf, port: u16) -> Result<Self, Error> {
        let cluster = Self {
            account: Account::that_may_own(&dir)?,
            bin_dir: primary.bin_dir.clone(),
            dir,
            variables: primary.variables.clone(),
        };
        // The primary's directory is open to the server's user alone, and so is its socket.
        let mut copy = cluster.program("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args(["--dbname", url, "--pgdata"])
            .arg(cluster.data_dir());
        run(&mut copy)?;
        let place = format!(
            "port = {port}\nunix_socket_directories = '{}'\n",
            cluster.dir.display()
        );
        cluster.append_to_conf(&place)?;
        Ok(cluster)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What the server has logged; nothing if that cannot be read.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// One of the server's programs, as the server's user. What the caller's environment says about some
    /// other server must not reach this one.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(name));
        for (variable, _) in std::env::vars_os() {
            if variable.as_bytes().starts_with(b"PG") {
                command.env_remove(variable);
            }
        }
        command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .process_group(0);
        self.account.runs(&mut command);
        command
    }

    fn configure(&self, port: u16, options: &Options) -> Result<(), Error> {
        let listen_addresses = if options.tcp { "127.0.0.1" } else { "" };
        self.append_to_conf(&format!(
            "listen_addresses = '{listen_addresses}'\nport = {port}\nunix_socket_directories = '{}'\n{}\n",
            self.dir.display(),
            options.conf.join("\n"),
        ))
    }

    // If a setting is given twice, the last one counts.
    fn append_to_conf(&self, lines: &str) -> Result<(), Error> {
        let path = self.data_dir().join("postgresql.conf");
        let conf = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        fs::write(&path, format!("{conf}\n{lines}")).map_err(Error::io("write", &path))
    }
}

/// A new directory that only this user can enter, short enough for a socket.
///
/// # Errors
/// The server's user cannot reach the directory for temporary files.
pub fn private_directory() -> Result<PathBuf, Error> {
    let wanted = std::env::temp_dir();
    let name = format!("session-reaper-{:08x}", fastrand::u32(..));
    let dir = [wanted.clone(), PathBuf::from("/tmp")]
        .into_iter()
        .filter(|parent| parent.is_absolute() && account::can_reach(parent))
        .map(|parent| parent.join(&name))
        .find(|dir| dir.as_os_str().len() <= DIR_BYTES_MAX)
        .ok_or(Error::NoDirectory(wanted))?;
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(Error::io("create", &dir))?;
    Ok(dir)
}

/// Runs a program to its end; what it printed is the error if it fails.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    let output = command.output().map_err(Error::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program,
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
