//! Presets: what is known of a store, laid below what the operator says and above the defaults.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Error, Site, complaint};

const PRESETS: &str = include_str!("presets.toml");

/// The one that holds where none is named.
const USUAL: &str = "django";

/// Finding the user is one thing said in one of several ways: an operator who says one of these means none of the
/// others that the preset may have said.
const INSTEAD_OF: [(&str, &[&str]); 4] = [
    ("user_column", &["data_column", "user_path", "codec"]),
    ("data_column", &["user_column"]),
    ("user_path", &["user_column", "codec"]),
    ("codec", &["user_column", "user_path"]),
];

/// Puts below the settings what their preset says. Lists are not joined: the operator's stands.
pub(super) fn lay_under(settings: &mut Table) -> Result<(), Error> {
    let named = settings.get("site").and_then(|site| site.get("preset"));
    let mut preset = find(named.and_then(Value::as_str).unwrap_or(USUAL))?;
    if let (Some(Value::Table(given)), Some(Value::Table(preset))) =
        (settings.get("site"), preset.get_mut("site"))
    {
        let instead = INSTEAD_OF
            .iter()
            .filter(|(name, _)| given.contains_key(*name));
        for name in instead.flat_map(|(_, names)| *names) {
            preset.remove(*name);
        }
    }
    // That a preset knows how a cache calls its entries does not mean that the site has one.
    if !settings.contains_key("cache") {
        preset.remove("cache");
    }
    for (section, below) in preset {
        let above = settings
            .entry(section)
            .or_insert_with(|| Table::new().into());
        if let (Value::Table(above), Value::Table(below)) = (above, below) {
            for (name, value) in below {
                above.entry(name).or_insert(value);
            }
        }
    }
    Ok(())
}

/// What holds for the site where the operator says nothing.
pub(super) fn usual_site() -> Site {
    let site = find(USUAL)
        .ok()
        .and_then(|mut preset| preset.remove("site"));
    site.and_then(|site| Site::deserialize(site).ok())
        .expect("a test reads every preset that is compiled in")
}

/// Whether this preset knows how a cache calls the entries of sessions.
pub fn knows_cache(preset: &str) -> bool {
    find(preset).is_ok_and(|preset| preset.contains_key("cache"))
}

/// The names of all presets.
fn names() -> Vec<String> {
    all().keys().cloned().collect()
}

fn find(name: &str) -> Result<Table, Error> {
    let mut all = all();
    match all.remove(name) {
        Some(Value::Table(mut preset)) => {
            if let Some(Value::Table(site)) = preset.get_mut("site") {
                site.insert("preset".to_owned(), name.into());
            }
            Ok(preset)
        }
        _ => Err(unknown(name)),
    }
}

// Without the name itself: a connection string may have slipped in here as anywhere else (P7).
fn unknown(name: &str) -> Error {
    let names = names();
    let nearest = complaint::nearest(name, names.iter().map(String::as_str)).unwrap_or_default();
    Error::Invalid {
        name: "site.preset",
        rule: format!(
            "is none of the presets ({}); the nearest one is {nearest}",
            names.join(", ")
        ),
    }
}

fn all() -> Table {
    PRESETS
        .parse()
        .expect("a test reads the file that is compiled in")
}

#[cfg(test)]
mod tests;
