//! Where the settings come from: a file, then variables, below them the preset, then the rules that all have to keep.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;

use super::{Cache, Cached, Environment, Settings, complaint, presets, validate, variables};

/// Why there are no settings to start with. A value is never quoted, because it may be a connection string (P7).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the settings file {}: {reason}; correct its path or its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The file is not TOML, or says something that is not known.
    #[error("line {line} of the settings file {} is wrong: {complaint}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line that is wrong, counted from 1.
        line: usize,
        /// What is wrong there.
        complaint: String,
    },
    /// A `SESSION_REAPER_*` variable has an unknown name or a value of the wrong type.
    #[error("the variable {name} is wrong: {complaint}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        complaint: String,
    },
    /// A value of the right type breaks a rule.
    #[error("the setting {name} {rule}")]
    Invalid {
        /// The setting, as `section.key`.
        name: &'static str,
        /// The rule, as the end of a sentence.
        rule: String,
    },
}

/// Reads the settings: the file that is named explicitly, else by `SESSION_REAPER_CONFIG`, else none; then
/// the `SESSION_REAPER_<SECTION>_<KEY>` variables on top, and what the preset says below.
///
/// ```
/// use session_reaper::settings::{Environment, load};
///
/// let environment = Environment::from([("SESSION_REAPER_REVOKE_BATCH_ROWS", "500")]);
/// assert_eq!(load(None, &environment)?.revoke.batch_rows, 500);
/// # Ok::<(), session_reaper::settings::Error>(())
/// ```
pub fn load(explicit: Option<&Path>, environment: &Environment) -> Result<Settings, Error> {
    let named = environment.get("SESSION_REAPER_CONFIG").map(Path::new);
    let mut table = match explicit.or(named) {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    variables::lay_over(&mut table, environment)?;
    presets::lay_under(&mut table)?;
    // Both sources have been checked on their own, where the line or the variable could still be named.
    let mut settings = Settings::deserialize(table).map_err(|error| Error::Variable {
        name: "SESSION_REAPER_*".to_owned(),
        complaint: complaint::shown(error.message()),
    })?;
    settings.site.cached = settings.cache.as_ref().map_or(Cached::Unsaid, Cache::place);
    validate::check(&settings)?;
    Ok(settings)
}

fn read(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|reason| Error::Unreadable {
        path: path.to_owned(),
        reason,
    })?;
    // Read into the structs first: only from text can a wrong name or type be told by its line.
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
        complaint: complaint::shown(error.message()),
    }
}

#[cfg(test)]
mod tests;
