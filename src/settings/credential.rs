//! Files that systemd hands over: `credential:NAME` in place of a path.
//!
//! A path to systemd's directory works only for the service, and one to /etc only for commands that are run by hand. So the
//! same setting finds systemd's file where there is one, and else the file that the unit names, which is beside the
//! settings: for /etc/session-reaper/mysite.toml that is /etc/session-reaper/mysite.NAME.

use std::path::{Path, PathBuf};

use super::{Environment, Error, Settings, ranges::invalid};

const PREFIX: &str = "credential:";

/// The name under which the connection string is handed over.
pub const DATABASE_URL: &str = "database_url";

/// Replaces names of credentials by paths.
pub(super) fn resolve(
    settings: &mut Settings,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<(), Error> {
    let beside = file.map(|file| file.with_extension(DATABASE_URL));
    settings.database.url_file = beside.filter(|beside| beside.exists());
    let cache = settings.cache.as_mut();
    let mut named = vec![("link.secret_key_file", &mut settings.link.secret_key_file)];
    if let Some(cache) = cache {
        named.extend([
            ("cache.password_file", &mut cache.password_file),
            (
                "cache.sentinel_password_file",
                &mut cache.sentinel_password_file,
            ),
            ("cache.ca_file", &mut cache.ca_file),
        ]);
    }
    for (setting, path) in named {
        if let Some(found) = place(path.as_deref(), file, environment) {
            *path = Some(found.map_err(|rule| invalid(setting, rule))?);
        }
    }
    Ok(())
}

/// Nothing where it is an ordinary path.
fn place(
    path: Option<&Path>,
    file: Option<&Path>,
    environment: &Environment,
) -> Option<Result<PathBuf, String>> {
    let name = path?.to_str()?.strip_prefix(PREFIX)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(is_plain) {
        let rule = "is not the name of a credential: a name has letters, digits, _ and -, as in LoadCredential=";
        return Some(Err(rule.to_owned()));
    }
    if let Some(directory) = environment.get("CREDENTIALS_DIRECTORY") {
        return Some(Ok(Path::new(directory).join(name)));
    }
    let beside = file.map(|file| file.with_extension(name));
    Some(beside.ok_or_else(|| {
        format!("names the credential {name}, which is looked for in CREDENTIALS_DIRECTORY or beside the settings file, and there is neither")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, file: Option<&str>, environment: &Environment) -> Option<String> {
        let place = place(Some(Path::new(text)), file.map(Path::new), environment)?;
        Some(
            place
                .unwrap_or_else(|rule| panic!("{rule}"))
                .display()
                .to_string(),
        )
    }

    #[test]
    fn a_credential_is_systemds_for_the_service_and_the_file_beside_the_settings_by_hand() {
        let (settings, nobody) = ("/etc/session-reaper/mysite.toml", Environment::default());
        let service = Environment::from([("CREDENTIALS_DIRECTORY", "/run/credentials/x")]);
        let name = "credential:cache_password";
        assert_eq!(
            found(name, Some(settings), &service).unwrap(),
            "/run/credentials/x/cache_password"
        );
        assert_eq!(
            found(name, Some(settings), &nobody).unwrap(),
            "/etc/session-reaper/mysite.cache_password"
        );
        assert_eq!(found("/etc/key", Some(settings), &nobody), None);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["credential:", "credential:../shadow", "credential:a/b"] {
            let refused = place(
                Some(Path::new(name)),
                Some(Path::new("/etc/x.toml")),
                &Environment::default(),
            );
            assert!(refused.unwrap().is_err(), "{name}");
        }
    }
}
