//! Which columns end a user's sessions, and how.

use tokio_postgres::{GenericClient, types::Type};

use super::{
    Column, Table,
    catalog::{column, columns, table},
};
use crate::schema::Error;
use crate::settings::{self, Event, Policy, Watched};

/// A watched column, found in the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    pub(in crate::schema) table: Table,
    pub(in crate::schema) user_column: Column,
    /// Whether the row is a user's own, with the key that the users are known by.
    pub(in crate::schema) names_its_own_user: bool,
    pub(in crate::schema) column: Column,
    pub(in crate::schema) becomes: Option<String>,
    pub(in crate::schema) event: Event,
    pub(in crate::schema) policy: &'static str,
    pub(in crate::schema) reason: String,
}

impl Watch {
    /// What the settings ask to be watched, or what is watched where they ask for nothing.
    pub(in crate::schema) async fn all(
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
        .any(|(column, _)| column.name == "is_active" && column.is(&Type::BOOL))
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
