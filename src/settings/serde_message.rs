//! Serde's complaints, in words for an operator and without the values that they are about.
//!
//! Serde quotes values, and a connection string that slipped into the wrong setting would travel with its
//! password into the log (P7). So only the names and the expectation are taken from its messages.

use serde::Deserialize;
use toml::{Table, Value};

use super::Settings;

/// Turns a message of serde or of the TOML parser into one that may be shown.
pub(super) fn shown(message: &str) -> String {
    if message.starts_with("unknown field") {
        return unknown(message);
    }
    let quotes_a_value = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ]
    .iter()
    .any(|start| message.starts_with(start));
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if quotes_a_value => format!("it has to be {}", in_words(expected)),
        _ if quotes_a_value => "its value has the wrong type".to_owned(),
        _ => message.to_owned(),
    }
}

/// The names of the sections.
pub(super) fn sections() -> Vec<String> {
    known(Table::from_iter([(String::new(), Value::Boolean(true))]))
}

/// The names of a section's settings.
pub(super) fn keys(section: &str) -> Vec<String> {
    let nameless = Table::from_iter([(String::new(), Value::Boolean(true))]);
    known(Table::from_iter([(
        section.to_owned(),
        Value::Table(nameless),
    )]))
}

/// The known name that a misspelt one most resembles.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)))
}

// The structs are the one place that has the names: serde lists them when it meets an unknown one.
fn known(table: Table) -> Vec<String> {
    match Settings::deserialize(table) {
        Ok(_) => Vec::new(),
        Err(error) => quoted(error.message()).skip(1).map(str::to_owned).collect(),
    }
}

fn unknown(message: &str) -> String {
    let mut names = quoted(message);
    let name = names.next().unwrap_or_default();
    match nearest(name, names) {
        Some(nearest) => format!("`{name}` is not known; the nearest known name is `{nearest}`"),
        None => format!("`{name}` is not known"),
    }
}

// Every second piece between backticks is inside a pair of them.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

fn in_words(expected: &str) -> String {
    match expected {
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a section of settings".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_shown() {
        let message = r#"invalid type: string "postgres://a:s3cret, expected u64", expected u32"#;
        assert_eq!(
            shown(message),
            "it has to be a whole number from 0 to 4294967295"
        );
        assert!(
            !shown("unknown variant `s3cret`, expected one of `auto`, `text`").contains("s3cret")
        );
        assert!(!shown("invalid length s3cret").contains("s3cret"));
    }

    #[test]
    fn every_section_and_key_is_known() {
        assert_eq!(
            sections(),
            [
                "database", "site", "listen", "link", "revoke", "cache", "purge", "metrics",
                "policy", "canary", "log", "doctor"
            ]
        );
        assert_eq!(keys("log"), ["level", "format"]);
        for section in sections() {
            assert!(!keys(&section).is_empty(), "{section} lists its keys");
        }
    }

    #[test]
    fn a_misspelt_name_finds_the_nearest() {
        let known = keys("revoke");
        let known = || known.iter().map(String::as_str);
        assert_eq!(nearest("bach_rows", known()), Some("batch_rows"));
        assert_eq!(nearest("settle_cap", known()), Some("settle_cap_s"));
    }
}
