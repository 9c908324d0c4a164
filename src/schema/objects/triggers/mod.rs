//! The triggers on the site's tables. Each is attached in its own transaction, and only where it differs from the
//! existing one, because attaching locks a table that every login needs.

mod attach;
mod attached;
mod watched;

use crate::schema::{
    Column, Site, Table,
    site::{
        template::{quote_identifier, quote_literal},
        watch::Watch,
    },
};
pub(in crate::schema) use attach::State;
pub(in crate::schema) use attached::Attached;
pub use attached::detach_others;

/// A trigger that has to exist.
pub struct Trigger<'a> {
    /// Its name, unquoted.
    pub name: String,
    /// The table that it is on.
    pub table: &'a Table,
    pub(in crate::schema) when: String,
    pub(in crate::schema) action: String,
    /// What is done in its place while the site migrates; nothing where it may be missing for so long.
    pub(in crate::schema) paused: Option<Paused>,
    /// Whether it notes, or finds, the users of sessions that are written.
    pub(in crate::schema) reads: bool,
}

/// A trigger that names no column, so that the site may change the type of any.
pub struct Paused {
    /// `update`, `insert` or `delete`.
    pub(in crate::schema) event: &'static str,
    pub(in crate::schema) action: String,
}

const DELETED: &str = "delete on {table} for each row";

/// All that this site needs.
pub fn wanted(site: &Site) -> Vec<Trigger<'_>> {
    let renamed = |column: &Column| {
        let key = quote_identifier(&column.name);
        format!(
            "update of {key} on {{table}} for each row when (old.{key} is distinct from new.{key})"
        )
    };
    let own_triggers = [
        own(
            "user_deleted",
            &site.users,
            DELETED.to_owned(),
            "delete",
            &site.user_key,
        ),
        own(
            "user_renamed",
            &site.users,
            renamed(&site.user_key),
            "update",
            &site.user_key,
        ),
        own(
            "session_renamed",
            &site.sessions,
            renamed(&site.session_key),
            "update",
            &site.session_key,
        ),
    ];
    let linking = site.user_source.triggers();
    let linking = linking.into_iter().map(|(name, when, function)| Trigger {
        name: format!("A_session_reaper_{name}"),
        table: &site.sessions,
        when: format!("after {when}"),
        action: format!("session_reaper.{function}()"),
        paused: None,
        reads: true,
    });
    let watched = site.watched.iter().map(Watch::trigger);
    watched
        .chain(linking)
        .chain(own_triggers)
        .chain(evicting(site))
        .collect()
}

/// The triggers that note for a cache which sessions have left their table, whatever removed them (P5). They do not
/// notice a table that is truncated during a pause.
fn evicting(site: &Site) -> Vec<Trigger<'_>> {
    if !site.is_cached {
        return Vec::new();
    }
    let (table, key) = (&site.sessions, &site.session_key);
    let truncated = Trigger {
        name: "A_session_reaper_sessions_truncated".to_owned(),
        table,
        when: "before truncate on {table} for each statement".to_owned(),
        action: "session_reaper.sessions_truncated()".to_owned(),
        paused: None,
        reads: false,
    };
    let deleted = own("session_deleted", table, DELETED.to_owned(), "delete", key);
    vec![deleted, truncated]
}

/// A trigger that works in a pause as well, more slowly.
fn own<'a>(
    name: &str,
    table: &'a Table,
    when: String,
    event: &'static str,
    key: &Column,
) -> Trigger<'a> {
    Trigger {
        // Capital letters sort before PostgreSQL's own "RI_..." triggers, which cascade to the links.
        name: format!("A_session_reaper_{name}"),
        table,
        when: format!("after {when}"),
        action: format!("session_reaper.{name}()"),
        paused: Some(Paused {
            event,
            action: format!("session_reaper.paused_{name}({})", place(key)),
        }),
        reads: false,
    }
}

/// A column as two arguments of a trigger: its number, by which it is found under another name, and its name, by
/// which it is found when it was dropped and added again.
pub(in crate::schema) fn place(column: &Column) -> String {
    format!("'{}', {}", column.number, quote_literal(&column.name))
}
