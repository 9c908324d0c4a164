//! Why settings cannot be used.

use std::path::PathBuf;

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
    /// The file is not TOML, or contains something unknown.
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
