//! Where the settings come from: a file, then variables, below them the preset, then the rules that all have to keep.

use std::path::Path;

use serde::Deserialize;
use toml::Table;

use super::{
    Cache, Cached, Environment, Error, Settings, credential, presets, rules, serde_message,
    variables,
};

/// Reads the settings: the file that is named explicitly, else by `SESSION_REAPER_CONFIG`, else none; then the
/// `SESSION_REAPER_<SECTION>_<KEY>` variables on top, and the preset's values below.
///
/// ```
/// use session_reaper::settings::{Environment, load};
///
/// let environment = Environment::from([("SESSION_REAPER_REVOKE_BATCH_ROWS", "500")]);
/// assert_eq!(load(None, &environment)?.revoke.batch_rows, 500);
/// # Ok::<(), session_reaper::settings::Error>(())
/// ```
pub fn load(explicit: Option<&Path>, environment: &Environment) -> Result<Settings, Error> {
    let file = named(explicit, environment);
    let mut table = match file {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    variables::lay_over(&mut table, environment)?;
    presets::lay_under(&mut table)?;
    // Both sources have been checked on their own, where the line or the variable could still be named.
    let mut settings = Settings::deserialize(table).map_err(|error| Error::Variable {
        name: "SESSION_REAPER_*".to_owned(),
        complaint: serde_message::shown(error.message()),
    })?;
    settings.site.cached = settings.cache.as_ref().map_or(Cached::Unsaid, Cache::place);
    credential::resolve(&mut settings, file, environment)?;
    settings.site.canary_user.clone_from(&settings.canary.user);
    settings.site.verifies = settings.link.secret_key_file.is_some();
    rules::check(&settings)?;
    Ok(settings)
}

/// The file that the settings are read from.
pub(super) fn named<'a>(
    explicit: Option<&'a Path>,
    environment: &'a Environment,
) -> Option<&'a Path> {
    explicit.or_else(|| environment.get("SESSION_REAPER_CONFIG").map(Path::new))
}

pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|reason| Error::Unreadable {
        path: path.to_owned(),
        reason,
    })?;
    // Read into the structs first: only the text can give the line of a wrong name or type.
    toml::from_str::<Settings>(&text)
        .and_then(|_| toml::from_str(&text))
        .map_err(|error| malformed(path, &text, &error))
}

// The parser's own display quotes the whole line, and the line may hold a password.
fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(start);
    Error::Malformed {
        path: path.to_owned(),
        line: 1 + before.filter(|byte| **byte == b'\n').count(),
        complaint: serde_message::shown(error.message()),
    }
}

#[cfg(test)]
mod tests;
