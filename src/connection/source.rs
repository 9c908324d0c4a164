//! Where the connection string comes from.

use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use super::parameters::Parameters;
use crate::settings::{Database, Environment};

/// The first source that says anything: our own settings, the variable that platforms set, the credential that
/// systemd keeps out of the environment. What it leaves open is filled from the `PG*` variables, like libpq.
pub(super) fn parameters(
    settings: &Database,
    environment: &Environment,
) -> Result<Parameters, Error> {
    let mut parameters = match stated(settings, environment)? {
        Some((text, source)) => Parameters::parse(&text, source)?,
        None => Parameters::default(),
    };
    parameters.fill_from(environment);
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
    let Some(directory) = environment.get("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let url = credential(&Path::new(directory).join("database_url"))?;
    Ok(url.map(|url| (url, "the credential database_url")))
}

// systemd makes the directory for other credentials, too, so this one may be missing.
fn credential(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Settings(format!(
            "cannot read the credential {}: {error}; check LoadCredential= in the unit",
            path.display()
        ))),
    }
}
