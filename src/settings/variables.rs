//! `SESSION_REAPER_<SECTION>_<KEY>` variables, which override the file.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Environment, Error, Settings, serde_message};

const PREFIX: &str = "SESSION_REAPER_";

/// Our variables that are not settings: which file to read, and where `demo` finds a server.
const NOT_SETTINGS: [&str; 2] = ["CONFIG", "PG_BINDIR"];

/// Lays the variables over what the file says.
pub(super) fn lay_over(table: &mut Table, environment: &Environment) -> Result<(), Error> {
    // An empty variable counts as unset, as in libpq, so that `X=${X:-}` in a compose file is harmless.
    for (name, text) in environment
        .with_prefix(PREFIX)
        .filter(|(_, text)| !text.is_empty())
    {
        if NOT_SETTINGS.contains(&name) {
            continue;
        }
        let (section, key) = split(name)?;
        let value = value(&section, &key, text).map_err(|complaint| Error::Variable {
            name: format!("{PREFIX}{name}"),
            complaint,
        })?;
        if let Value::Table(settings) = table.entry(section).or_insert_with(|| Table::new().into())
        {
            settings.insert(key, value);
        }
    }
    Ok(())
}

// The names are checked first, so that a misspelt name can be told apart from a wrong value.
fn split(name: &str) -> Result<(String, String), Error> {
    let known: Vec<(String, String)> = serde_message::sections()
        .into_iter()
        .flat_map(|section| {
            serde_message::keys(&section)
                .into_iter()
                .map(move |key| (section.clone(), key))
        })
        .collect();
    let spelt = |(section, key): &(String, String)| format!("{section}_{key}").to_uppercase();
    if let Some(found) = known.iter().find(|pair| spelt(pair) == name) {
        return Ok(found.clone());
    }
    let names: Vec<String> = known
        .iter()
        .map(spelt)
        .chain(NOT_SETTINGS.map(str::to_owned))
        .collect();
    let nearest =
        serde_message::nearest(name, names.iter().map(String::as_str)).unwrap_or_default();
    Err(Error::Variable {
        name: format!("{PREFIX}{name}"),
        complaint: format!("no such setting is known; the nearest known one is {PREFIX}{nearest}"),
    })
}

// A variable has no type. The text itself is tried first, because a table may well be called 2024; then what it means
// in TOML; then a list with commas, which is how people write lists in variables.
fn value(section: &str, key: &str, text: &str) -> Result<Value, String> {
    let list = || {
        text.split(',')
            .map(|item| Value::from(item.trim()))
            .collect::<Vec<_>>()
    };
    let as_toml = || {
        format!("value = {text}")
            .parse::<Table>()
            .ok()?
            .remove("value")
    };
    let readings = [
        Some(Value::from(text)),
        as_toml(),
        Some(Value::from(list())),
    ];
    let mut complaint = None;
    for reading in readings.into_iter().flatten() {
        match accepted(section, key, &reading) {
            Ok(()) => return Ok(reading),
            Err(message) => complaint = complaint.or(Some(message)),
        }
    }
    Err(complaint.unwrap_or_default())
}

fn accepted(section: &str, key: &str, value: &Value) -> Result<(), String> {
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    Settings::deserialize(Table::from_iter([(
        section.to_owned(),
        Value::Table(alone),
    )]))
    .map(|_| ())
    .map_err(|error| serde_message::shown(error.message()))
}
