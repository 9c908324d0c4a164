//! What is in force, and where each value came from.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    Cache, Environment, Error, Settings, Site, file, load, presets, serde_message, variables,
};

/// One setting that is in force.
#[derive(Debug)]
pub struct Stated {
    /// Its section.
    pub section: String,
    /// Its name in there.
    pub key: String,
    /// What it is, without secrets; none where no source sets it.
    pub value: Option<Value>,
    /// Which source set it.
    pub origin: Origin,
}

/// Where the value of a setting comes from.
#[derive(Debug, PartialEq)]
pub enum Origin {
    /// The file.
    File,
    /// A variable of this name.
    Variable(String),
    /// The preset of this name.
    Preset(String),
    /// None of these.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Variable(name) => f.write_str(name),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Every setting, in the order of the structs.
///
/// # Errors
/// Those of [`load`]: what is not valid is not in force.
pub fn stated(path: Option<&Path>, environment: &Environment) -> Result<Vec<Stated>, Error> {
    load(path, environment)?;
    let from_file = match file::named(path, environment) {
        Some(path) => file::read(path)?,
        None => Table::new(),
    };
    let mut from_variables = Table::new();
    variables::lay_over(&mut from_variables, environment)?;
    let mut whole = from_file.clone();
    variables::lay_over(&mut whole, environment)?;
    presets::lay_under(&mut whole)?;
    // The usual site is a preset's, which need not be this one.
    let defaults = Settings {
        site: Site::deserialize(Table::new()).unwrap_or_default(),
        cache: Some(Cache::default()),
        ..Settings::default()
    };
    let defaults = Table::try_from(defaults).unwrap_or_default();
    let preset = text(&whole, "site", "preset");
    let mut all = Vec::new();
    for section in serde_message::sections() {
        // There is no cache unless a source names one.
        if section == "cache" && !whole.contains_key("cache") {
            continue;
        }
        for key in serde_message::keys(&section) {
            let has = |table: &Table| find(table, &section, &key).is_some();
            let origin = if has(&from_variables) {
                Origin::Variable(format!("SESSION_REAPER_{section}_{key}").to_uppercase())
            } else if has(&from_file) {
                Origin::File
            } else if has(&whole) && key != "preset" {
                Origin::Preset(preset.clone())
            } else {
                Origin::Default
            };
            let value = find(&whole, &section, &key).or_else(|| find(&defaults, &section, &key));
            all.push(Stated {
                value: value.map(|value| masked(&section, &key, value)),
                section: section.clone(),
                key,
                origin,
            });
        }
    }
    Ok(all)
}

fn find<'a>(table: &'a Table, section: &str, key: &str) -> Option<&'a Value> {
    table.get(section)?.as_table()?.get(key)
}

fn text(table: &Table, section: &str, key: &str) -> String {
    let value = find(table, section, key).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

/// A connection string is hidden as a whole. In every other text, whatever may be a connection string is hidden (P7):
/// it may have slipped in.
fn masked(section: &str, key: &str, value: &Value) -> Value {
    match value {
        Value::String(_) if (section, key) == ("database", "url") => "…".into(),
        Value::String(text) => hide(text).into(),
        Value::Array(items) => items
            .iter()
            .map(|item| masked(section, key, item))
            .collect::<Vec<_>>()
            .into(),
        Value::Table(table) => table
            .iter()
            .map(|(name, value)| (name.clone(), masked(section, key, value)))
            .collect::<BTreeMap<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn hide(text: &str) -> String {
    if text.to_lowercase().contains("pass") && text.contains('=') {
        return "…".to_owned();
    }
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| {
        (&text[..scheme.len() + 3], rest)
    });
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_one<'a>(all: &'a [Stated], section: &str, key: &str) -> &'a Stated {
        let is_it = |one: &&Stated| one.section == section && one.key == key;
        all.iter().find(is_it).unwrap()
    }

    #[test]
    fn each_value_names_where_it_came_from() {
        let environment = Environment::from([
            ("SESSION_REAPER_SITE_PRESET", "laravel"),
            ("SESSION_REAPER_REVOKE_BATCH_ROWS", "500"),
        ]);
        let all = stated(None, &environment).unwrap();
        let one = find_one(&all, "revoke", "batch_rows");
        assert_eq!(one.value, Some(500.into()));
        let name = "SESSION_REAPER_REVOKE_BATCH_ROWS".to_owned();
        assert_eq!(one.origin, Origin::Variable(name));
        let one = find_one(&all, "site", "user_table");
        assert_eq!(one.value, Some("users".into()));
        assert_eq!(one.origin, Origin::Preset("laravel".to_owned()));
        let one = find_one(&all, "listen", "heartbeat_s");
        assert_eq!(
            (&one.value, &one.origin),
            (&Some(5.into()), &Origin::Default)
        );
        let one = find_one(&all, "site", "daemon_role");
        assert_eq!((&one.value, &one.origin), (&None, &Origin::Default));
    }

    #[test]
    fn no_secret_is_shown_wherever_it_stands() {
        let url = "postgresql://a:s3cret@db/x";
        let environment = Environment::from([
            ("SESSION_REAPER_DATABASE_URL", url),
            ("SESSION_REAPER_CACHE_SERVERS", "redis://u:s3cret@h:6379/1"),
            ("SESSION_REAPER_CACHE_KEY_PREFIX", url),
            ("SESSION_REAPER_SITE_USER_TABLE", "host=db password=s3cret"),
        ]);
        let all = format!("{:?}", stated(None, &environment).unwrap());
        assert!(!all.contains("s3cret"), "{all}");
        assert!(all.contains("redis://…@h:6379/1"), "{all}");
    }
}
