//! Where the connection string comes from.

use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use super::parameters::Parameters;
use crate::settings::{DATABASE_URL, Database, Environment};

/// Which source names the database; none where that is left to the `PG*` variables.
///
/// # Errors
/// A credential that cannot be read or is empty.
pub fn named_by(settings: &Database, environment: &Environment) -> Result<Option<String>, Error> {
    Ok(stated(settings, environment)?.map(|(_, source)| source.to_owned()))
}

/// The first source that is set: our own settings, the variable that platforms set, the credential that systemd keeps out of
/// the environment. What it leaves open is filled from a service and from the `PG*` variables, as in libpq.
pub(super) fn parameters(
    settings: &Database,
    environment: &Environment,
) -> Result<Parameters, Error> {
    let mut parameters = match stated(settings, environment)? {
        Some((text, source)) => Parameters::parse(&text, source)?,
        None => Parameters::default(),
    };
    parameters.fill_from(environment)?;
    Ok(parameters)
}

fn stated(
    settings: &Database,
    environment: &Environment,
) -> Result<Option<(String, &'static str)>, Error> {
    if let Some(url) = settings.url.as_ref().filter(|url| !url.is_empty()) {
        return Ok(Some((url.clone(), "the setting database.url")));
    }
    if let Some(url) = environment.get("DATABASE_URL") {
        return Ok(Some((url.to_owned(), "DATABASE_URL")));
    }
    if let Some(directory) = environment.get("CREDENTIALS_DIRECTORY") {
        let url = credential(&Path::new(directory).join(DATABASE_URL))?;
        if let Some(url) = url {
            return Ok(Some((url, "the credential database_url")));
        }
    }
    match &settings.url_file {
        Some(file) if !is_left_to_others(file, environment) => {
            let url = credential(file)?;
            Ok(url.map(|url| (url, "the file database_url beside the settings")))
        }
        _ => Ok(None),
    }
}

/// Only root reads the service's connection string. Another user whose variables name a database has their own way.
fn is_left_to_others(file: &Path, environment: &Environment) -> bool {
    let is_closed =
        std::fs::File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let ways = ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"];
    is_closed && ways.iter().any(|name| environment.get(name).is_some())
}

// systemd makes the directory for other credentials, too, so this one may be missing.
fn credential(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(Error::Settings(format!(
            "the credential {} is empty: write the connection string into the file that LoadCredential= in the unit names",
            path.display()
        ))),
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Settings(format!(
            "cannot read the credential {}: {error}; check LoadCredential= in the unit, or, by hand, run this as root or give DATABASE_URL",
            path.display()
        ))),
    }
}
