//! Settings of the site that need or exclude each other.

use super::{Error, Site};

/// Refuses settings that are incomplete or contradict each other, in one sentence.
pub(super) fn check(site: &Site) -> Result<(), Error> {
    let given = Given {
        column: site.user_column.is_some(),
        data: site.data_column.is_some(),
        path: site.user_path.is_some(),
        codec: site.codec.is_some(),
    };
    user(given)?;
    if site.user_path.as_ref().is_some_and(Vec::is_empty) {
        return refuse(
            "site.user_path",
            "names no key: give the keys that lead to the user, such as [\"passport\", \"user\"]",
        );
    }
    expiry(site)
}

/// Which ways to the user are named.
#[derive(Clone, Copy)]
struct Given {
    column: bool,
    data: bool,
    path: bool,
    codec: bool,
}

fn user(given: Given) -> Result<(), Error> {
    const CONTRADICTS: &str =
        "contradicts site.user_column: the user is either in a column or in the data; remove one";
    match given {
        Given {
            column: true,
            path: true,
            ..
        } => refuse("site.user_path", CONTRADICTS),
        Given {
            column: true,
            codec: true,
            ..
        } => refuse("site.codec", CONTRADICTS),
        Given {
            column: true,
            data: true,
            ..
        } => refuse("site.data_column", CONTRADICTS),
        Given {
            path: true,
            codec: true,
            ..
        } => refuse(
            "site.user_path",
            "contradicts site.codec: a path leads through json or jsonb, a codec reads another format and takes its path with it, as codec = { format = \"json\", user = [\"id\"] }; remove one",
        ),
        Given {
            path: true,
            data: false,
            ..
        } => refuse(
            "site.user_path",
            "needs site.data_column: name the json or jsonb column that it leads through",
        ),
        Given {
            codec: true,
            data: false,
            ..
        } => refuse(
            "site.codec",
            "needs site.data_column: name the column that it reads",
        ),
        Given {
            data: true,
            path: false,
            codec: false,
            ..
        } => refuse(
            "site.data_column",
            "does not say where in the data the user is: set site.user_path for json or jsonb, or site.codec for another format",
        ),
        _ => Ok(()),
    }
}

fn expiry(site: &Site) -> Result<(), Error> {
    if site.expires_column.is_some() {
        return Ok(());
    }
    let has_time = site.used_column.is_some();
    let needing = [
        ("site.time_zone", site.time_zone.is_some() && !has_time),
        (
            "site.expires_unit",
            site.expires_unit.is_some() && !has_time,
        ),
        ("site.lifetime_s", site.lifetime_s.is_some()),
    ];
    match needing.into_iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => refuse(
            name,
            "needs site.expires_column: name the column that it is about",
        ),
        None => Ok(()),
    }
}

fn refuse(name: &'static str, rule: &str) -> Result<(), Error> {
    let rule = rule.to_owned();
    Err(Error::Invalid { name, rule })
}
