//! What the canary (`sql/canary.sql`) has to know of the site to open a session in it and to have its trigger fire.

use super::{
    Site,
    template::{Variables, quote_identifier, quote_literal},
    user_source::UserSource,
};
use crate::settings::Event;

/// Longer than any run, and then the purge takes what was left.
const EXPIRES: &str = "(pg_catalog.clock_timestamp() + interval '1 hour')";

/// What the variables in `sql/` stand for.
pub(super) fn variables(site: &Site) -> Variables {
    let user_column = match &site.user_source {
        UserSource::Column(column) => Some(&column.name),
        _ => None,
    };
    let data_column = match &site.user_source {
        UserSource::Path { column, .. } | UserSource::Codec { column, .. } => Some(&column.name),
        _ => None,
    };
    let expires = site.expires.as_ref();
    let probe = password_probe(site);
    Variables::from([
        ("session_key_name", name(Some(&site.session_key.name))),
        ("user_column_name", name(user_column)),
        ("data_column_name", name(data_column)),
        ("canary_user", literal(site.canary_user.as_deref())),
        ("blank_data", literal(site.user_source.blank().as_deref())),
        (
            "expires_name",
            name(expires.map(|expiry| &expiry.column.name)),
        ),
        (
            "expires_soon",
            literal(expires.map(|expiry| expiry.bound(EXPIRES)).as_deref()),
        ),
        ("can_probe", probe.is_some().to_string()),
        ("password_probe", probe.unwrap_or_else(|| "null".to_owned())),
    ])
}

/// Gives the user "of_user" another password, to be rolled back; none where no trigger is on the passwords.
fn password_probe(site: &Site) -> Option<String> {
    let is_password = |name: &str| site.password.as_deref() == Some(name);
    let watch = site.watched.iter().find(|watch| {
        watch.names_its_own_user
            && watch.event == Event::Update
            && watch.becomes.is_none()
            && is_password(&watch.column.name)
    })?;
    Some(format!(
        "update {} u set {} = 'canary' where u.{} = of_user",
        site.users.quoted(),
        quote_identifier(&watch.column.name),
        quote_identifier(&site.user_key.name)
    ))
}

fn name(of: Option<&String>) -> String {
    of.map_or_else(|| "null::name".to_owned(), |name| quote_literal(name))
}

fn literal(text: Option<&str>) -> String {
    text.map_or_else(|| "null::text".to_owned(), quote_literal)
}
