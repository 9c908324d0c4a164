//! Which columns end a user's sessions, and how: each becomes a trigger.

use tokio_postgres::GenericClient;

use super::{
    Column, Error, Table, behaviour,
    catalog::{column, columns, table},
    template::{quote_identifier, quote_literal},
    triggers::{Paused, Trigger, place},
};
use crate::settings::{self, Event, Policy, Watched};

/// A watched column, found in the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    table: Table,
    user_column: Column,
    /// Whether the row is a user's own, with the key that the users are known by.
    names_its_own_user: bool,
    column: Column,
    becomes: Option<String>,
    event: Event,
    policy: &'static str,
    reason: String,
}

impl Watch {
    /// What the settings ask to be watched, or what is watched where they say nothing.
    pub(super) async fn all(
        client: &impl GenericClient,
        settings: &settings::Site,
        users: &Table,
        user_key: &Column,
    ) -> Result<Vec<Self>, Error> {
        let by_default = match &settings.watch {
            Some(_) => Vec::new(),
            None => by_default(client, settings, users).await?,
        };
        let mut found = Vec::new();
        for watched in settings.watch.as_ref().unwrap_or(&by_default) {
            if let Some(policy) = policy(watched.policy) {
                found.push(Self::find(client, watched, policy, users, user_key).await?);
            }
        }
        Ok(found)
    }

    async fn find(
        client: &impl GenericClient,
        watched: &Watched,
        policy: &'static str,
        users: &Table,
        user_key: &Column,
    ) -> Result<Self, Error> {
        let table = match &watched.table {
            Some(name) => table(client, "site.watch.table", name).await?,
            None => users.clone(),
        };
        let user_column = watched.user_column.as_ref().unwrap_or(&user_key.name);
        Ok(Self {
            names_its_own_user: table == *users
                && *user_column == user_key.name
                && watched.on != Event::Delete,
            user_column: column(client, "site.watch.user_column", &table, user_column).await?,
            column: column(client, "site.watch.column", &table, &watched.column).await?,
            table,
            becomes: watched.becomes.clone(),
            event: watched.on,
            policy,
            reason: watched
                .reason
                .clone()
                .unwrap_or_else(|| watched.column.clone()),
        })
    }

    /// The trigger that watches it. It compares, because Django's save() writes every column.
    pub(super) fn trigger(&self) -> Trigger<'_> {
        let (event, row) = match self.event {
            Event::Update => ("update", "new"),
            Event::Insert => ("insert", "new"),
            Event::Delete => ("delete", "old"),
        };
        Trigger {
            name: format!("session_reaper_{event}_{}", self.label()),
            table: &self.table,
            when: format!(
                "after {event} on {{table}} for each row{}",
                self.condition(row)
            ),
            action: self.action(),
            paused: Some(Paused {
                event,
                action: self.paused_action(),
            }),
            once_attached: "",
        }
    }

    /// The same without a condition, which would name columns: the function compares.
    fn paused_action(&self) -> String {
        let mut arguments = vec![
            quote_literal(&self.reason),
            quote_literal(self.policy),
            place(&self.user_column),
            place(&self.column),
        ];
        arguments.extend(self.becomes.as_deref().map(quote_literal));
        format!("session_reaper.paused_change({})", arguments.join(", "))
    }

    fn action(&self) -> String {
        let (reason, policy) = (quote_literal(&self.reason), quote_literal(self.policy));
        if self.names_its_own_user {
            return format!("session_reaper.credential_changed({reason}, {policy})");
        }
        let user_column = quote_literal(&self.user_column.name);
        format!("session_reaper.factor_changed({reason}, {policy}, {user_column})")
    }

    /// Tells the triggers of one table apart, within the 63 bytes that PostgreSQL gives a name.
    fn label(&self) -> String {
        let column = &self.column.name;
        match &self.becomes {
            None if column.len() <= 30 => column.clone(),
            becomes => behaviour::digest(&format!("{column} {becomes:?}"))[..12].to_owned(),
        }
    }

    fn condition(&self, row: &str) -> String {
        let column = quote_identifier(&self.column.name);
        let mut conditions = Vec::new();
        if self.event == Event::Update {
            conditions.push(format!("old.{column} is distinct from new.{column}"));
        }
        if let Some(value) = &self.becomes {
            conditions.push(format!("{row}.{column} = {}", quote_literal(value)));
        }
        if conditions.is_empty() {
            String::new()
        } else {
            format!(" when ({})", conditions.join(" and "))
        }
    }
}

/// Django's own: a new password ends the other sessions, a deactivation ends all of them.
async fn by_default(
    client: &impl GenericClient,
    settings: &settings::Site,
    users: &Table,
) -> Result<Vec<Watched>, Error> {
    let mut watched = Vec::new();
    if let Some(name) = &settings.password_column {
        let password = column(client, "site.password_column", users, name).await?;
        watched.push(self::watched(&password.name, "password", Policy::Others));
    }
    let columns = columns(client, users).await?;
    if columns
        .iter()
        .any(|(column, _)| column.name == "is_active" && column.base_type == "boolean")
    {
        watched.push(Watched {
            becomes: Some("false".to_owned()),
            ..self::watched("is_active", "deactivated", Policy::All)
        });
    }
    Ok(watched)
}

fn watched(column: &str, reason: &str, policy: Policy) -> Watched {
    Watched {
        table: None,
        user_column: None,
        column: column.to_owned(),
        becomes: None,
        on: Event::Update,
        policy,
        reason: Some(reason.to_owned()),
    }
}

/// As `revocation.policy` has it.
fn policy(policy: Policy) -> Option<&'static str> {
    match policy {
        Policy::Others => Some("others"),
        Policy::All => Some("all"),
        Policy::None => None,
    }
}
