//! The file of services: groups of parameters by name, as libpq reads them.

use std::path::{Path, PathBuf};

use super::{Error, Parameters};
use crate::settings::Environment;

/// Where Debian's libpq looks for the one that all users share, and where that of other systems does.
const SHARED: [&str; 2] = ["/etc/postgresql-common", "/etc"];

/// Lets a service fill in what the connection string left open. `service=` in the string wins over `PGSERVICE`.
pub(super) fn fill_from(
    parameters: &mut Parameters,
    environment: &Environment,
) -> Result<(), Error> {
    let named = parameters.take("service");
    let Some(service) = named.as_deref().or_else(|| environment.get("PGSERVICE")) else {
        return Ok(());
    };
    for path in files(environment)? {
        let text = read(&path)?;
        if let Some(entries) = entries(&text, service) {
            return fill(parameters, &entries, &path);
        }
    }
    Err(Error::Settings(format!(
        "the service {service:?} is not defined: write a group [{service}] into ~/.pg_service.conf, or correct PGSERVICE, PGSERVICEFILE or service= in the connection string"
    )))
}

/// The user's own file, and then the shared one. A file that is named has to be there.
fn files(environment: &Environment) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    if let Some(path) = environment.get("PGSERVICEFILE") {
        files.push(PathBuf::from(path));
    } else if let Some(home) = environment.get("HOME") {
        let own = Path::new(home).join(".pg_service.conf");
        files.extend(own.exists().then_some(own));
    }
    let shared: Vec<&str> = match environment.get("PGSYSCONFDIR") {
        Some(directory) => vec![directory],
        None => SHARED.to_vec(),
    };
    let shared = shared
        .into_iter()
        .map(|directory| Path::new(directory).join("pg_service.conf"));
    files.extend(shared.filter(|path| path.exists()));
    Ok(files)
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| {
        Error::Settings(format!(
            "cannot read the service file {}: {error}; correct PGSERVICEFILE or the file's permissions",
            path.display()
        ))
    })
}

/// A line of a group, with its number.
type Entry<'a> = (usize, &'a str);

/// The lines of the first group of this name.
fn entries<'a>(text: &'a str, service: &str) -> Option<Vec<Entry<'a>>> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(nth, line)| (nth + 1, line.trim()));
    let heading = format!("[{service}]");
    lines.find(|(_, line)| *line == heading)?;
    let group = lines.take_while(|(_, line)| !line.starts_with('['));
    Some(
        group
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .collect(),
    )
}

/// The first of two lines with one name counts, as in libpq.
fn fill(parameters: &mut Parameters, entries: &[Entry<'_>], path: &Path) -> Result<(), Error> {
    for (nth, line) in entries {
        let wrong = |problem: &str| {
            let path = path.display();
            Error::Settings(format!(
                "line {nth} of the service file {path} is wrong: {problem}"
            ))
        };
        let (name, value) = line.split_once('=').ok_or_else(|| {
            wrong("it has to be a parameter, an equals sign and a value; LDAP is not supported")
        })?;
        if ["service", "servicefile"].contains(&name) {
            return Err(wrong("a service cannot refer to another one"));
        }
        let problem = parameters.set_if_open(name, value);
        problem.map_err(|problem| wrong(&format!("its parameter {problem}")))?;
    }
    Ok(())
}
