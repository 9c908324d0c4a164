//! Presets: what is known of a store, laid below what the operator says and above the defaults.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Error, Site, serde_message};

const PRESETS: &str = include_str!("../presets.toml");

/// The preset that holds where none is named.
const USUAL: &str = "django";

/// The way to the user can be set in one of several ways: an operator who sets one of these means none of the others
/// that the preset may have set.
const INSTEAD_OF: [(&str, &[&str]); 4] = [
    ("user_column", &["data_column", "user_path", "codec"]),
    ("data_column", &["user_column"]),
    ("user_path", &["user_column", "codec"]),
    ("codec", &["user_column", "user_path"]),
];

/// Where a preset knows when a session expires: in this column of this table, and in no other one.
const OF_EXPIRY: [&str; 2] = ["session_table", "expires_column"];

/// Lays their preset below the settings. Lists are not joined: the operator's wins.
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
        forget_of_another_table(given, preset)?;
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

/// No preset knows what a time in another table or column means. Taken for one in the preset's, it may end live sessions.
/// An operator who leaves the zone out is asked for it once the column's type is known to need one. Without a lifetime,
/// each session would expire at its last use, so the lifetime is asked for here.
fn forget_of_another_table(given: &Table, preset: &mut Table) -> Result<(), Error> {
    let is_another = |name: &&&str| {
        let own = given.get(**name);
        own.is_some() && own != preset.get(**name)
    };
    let of_another_table = is_another(&&"session_table");
    let another = OF_EXPIRY.iter().find(is_another);
    if of_another_table {
        preset.remove("used_column");
    }
    if another.is_some() {
        preset.remove("time_zone");
    }
    let known = preset.contains_key("lifetime_s");
    match (another, given.get("lifetime_s").and_then(Value::as_integer)) {
        (Some(another), None) if known => Err(lifetime(format!(
            "has to be set, because site.{another} is not the preset's: how many seconds after site.expires_column a session expires, or 0 if that column says itself when"
        ))),
        (None, Some(0)) if known => Err(lifetime(
            "must not be 0, because the preset's column says when a session was last used, or opened".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn lifetime(rule: String) -> Error {
    let name = "site.lifetime_s";
    Error::Invalid { name, rule }
}

/// What holds for the site where the operator says nothing.
impl Default for Site {
    fn default() -> Self {
        let site = find(USUAL)
            .ok()
            .and_then(|mut preset| preset.remove("site"));
        site.and_then(|site| Self::deserialize(site).ok())
            .expect("a test reads every preset that is compiled in")
    }
}

/// Which part of this preset's store keeps sessions in a cache as well, in its own words; none where nothing does.
pub fn cached_by(preset: &str) -> Option<&'static str> {
    match preset {
        "django" => Some("Django's backend cached_db"),
        "django-qsessions" => Some("qsessions.backends.cached_db"),
        "tower-sessions" => Some("CachingSessionStore of tower-sessions"),
        "better-auth" => Some("secondaryStorage of better-auth"),
        _ => None,
    }
}

/// Which part of this preset's store asks the table at every request, and no cache.
pub fn uncached_by(preset: &str) -> Option<&'static str> {
    match preset {
        "django" => Some("Django's django.contrib.sessions.backends.db"),
        "django-qsessions" => Some("qsessions.backends.db"),
        _ => None,
    }
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
    let nearest =
        serde_message::nearest(name, names.iter().map(String::as_str)).unwrap_or_default();
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
