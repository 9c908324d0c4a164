//! The SQL that `migrate` would run, for operators who have it reviewed first.

use std::fmt::Write;

use tokio_postgres::Client;

use super::{
    Error, Site, act,
    objects::{foreign_keys, functions, preconditions, rights, triggers},
    shape,
    site::template::quote_literal,
    state,
};
use crate::{connection::Target, settings};

/// What is not in place yet, in the order in which it is run; empty where everything is. Changes nothing. `migrate`
/// itself runs each piece in its own transaction, gives up on a lock that it cannot have and tries again.
///
/// # Errors
/// Those of `migrate`, as far as they can be known beforehand.
pub async fn preview(target: &Target, settings: &settings::Site) -> Result<String, Error> {
    act::on(target, async |client| preview_on(client, settings).await).await
}

async fn preview_on(client: &Client, settings: &settings::Site) -> Result<String, Error> {
    let site = Site::inspect(client, settings).await?;
    state::not_newer(client).await?;
    preconditions::require(client, &site).await?;
    let mut sql = String::new();
    let version = state::installed_version(client).await?;
    let migrations = shape::pending(version);
    if !migrations.is_empty() {
        put(&mut sql, "the schema", shape::CREATE_SCHEMA);
        for (name, value) in site.migration_settings() {
            let (name, value) = (quote_literal(name), quote_literal(&value));
            let set = format!("select pg_catalog.set_config({name}, {value}, false)");
            put(&mut sql, "what the migrations ask for", &set);
        }
    }
    for (name, text) in &migrations {
        put(&mut sql, &format!("migrations/{name}.sql"), text);
    }
    let differing = match version {
        Some(_) => Some(functions::differing(client, &site).await?),
        None => None,
    };
    for (name, text) in functions::texts(&site) {
        if differing.as_ref().is_none_or(|names| names.contains(&name)) {
            put(&mut sql, &format!("sql/{name}.sql"), &text);
        }
    }
    put_attached(client, &site, version.is_some(), &mut sql).await?;
    if version.is_none() || !sql.is_empty() {
        put(&mut sql, "rights", &rights::sql(&site, settings));
    }
    Ok(sql)
}

/// What is put on the site's own tables, or refers to them.
async fn put_attached(
    client: &Client,
    site: &Site,
    is_installed: bool,
    sql: &mut String,
) -> Result<(), Error> {
    if is_installed {
        for reference in foreign_keys::wanted(site) {
            if !reference.is_there(client).await? {
                let what = format!("a foreign key to {}", reference.table);
                put(sql, &what, &reference.adding("session_reaper.user_session"));
            }
        }
    }
    for trigger in triggers::wanted(site) {
        if !is_installed || !trigger.is_attached(client).await? {
            let what = format!("a trigger on {}", trigger.table);
            put(sql, &what, &trigger.definition());
        }
    }
    Ok(())
}

fn put(sql: &mut String, what: &str, text: &str) {
    let text = text.trim_end().trim_end_matches(';');
    // Writing into a string cannot fail.
    let _ = writeln!(sql, "-- {what}\n{text};\n");
}
