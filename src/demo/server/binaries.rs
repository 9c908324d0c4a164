//! Where the server's programs are. Distributions keep them off `PATH`, one directory a version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, error::VARIABLE};
use crate::settings::Environment;

/// The directory that holds `initdb`, `postgres` and `pg_ctl`.
///
/// # Errors
/// There is none, or the variable names another one.
pub fn find(environment: &Environment) -> Result<PathBuf, Error> {
    // A wrong override must not be papered over by a server that is found elsewhere.
    if let Some(dir) = environment.get(VARIABLE) {
        let dir = PathBuf::from(dir);
        return if is_complete(&dir) {
            Ok(dir)
        } else {
            Err(Error::WrongBindir(dir))
        };
    }
    candidates(environment)
        .into_iter()
        .find(|dir| is_complete(dir))
        .ok_or(Error::NoServer)
}

fn candidates(environment: &Environment) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = named_by_pg_config().into_iter().collect();
    dirs.extend(versions(Path::new("/usr/lib/postgresql"), "", "bin"));
    dirs.extend(versions(Path::new("/usr"), "pgsql-", "bin"));
    dirs.extend(
        environment
            .get("PATH")
            .iter()
            .flat_map(std::env::split_paths),
    );
    dirs
}

// The client library's development package brings pg_config without a server, hence the check in `find`.
fn named_by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(dir.trim()))
}

/// `parent/<prefix><version>/<below>`, the newest version first.
fn versions(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry
                .file_name()
                .to_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()?;
            Some((version, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, dir)| dir).collect()
}

fn is_complete(dir: &Path) -> bool {
    ["initdb", "postgres", "pg_ctl"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let parent =
            std::env::temp_dir().join(format!("session-reaper-versions-{:x}", fastrand::u64(..)));
        for version in ["9", "18", "15", "common"] {
            std::fs::create_dir_all(parent.join(version)).unwrap();
        }
        let found = versions(&parent, "", "bin");
        std::fs::remove_dir_all(&parent).unwrap();
        assert_eq!(
            found,
            ["18", "15", "9"].map(|version| parent.join(version).join("bin"))
        );
    }

    #[test]
    fn a_wrong_override_is_an_error_and_not_ignored() {
        let error = find(&Environment::from([(VARIABLE, "/nowhere")])).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
