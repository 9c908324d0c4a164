//! The site's tables, as the catalog has them: what the operator named is looked up, never trusted.

use tokio_postgres::GenericClient;

use super::{
    Error, Reading,
    catalog::{column, primary_key, require_unique, table},
    template::{Variables, quote_identifier, quote_literal},
    watch::Watch,
};
use crate::settings;

/// The names and types that everything else is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The table of sessions.
    pub sessions: Table,
    /// The column that identifies a session.
    pub session_key: Column,
    /// The column that says when a session expires.
    pub expires: Column,
    /// The table of users.
    pub users: Table,
    /// The column that identifies a user.
    pub user_key: Column,
    /// How the user of a session is found.
    pub reading: Reading,
    /// Size at which the queue of unread sessions takes nothing more, in bytes.
    pub queue_limit_bytes: u64,
    /// What ends a user's sessions.
    pub watched: Vec<Watch>,
}

/// A table with its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    pub(super) oid: u32,
}

/// A column with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name, unquoted.
    pub name: String,
    /// Type with its length, as `format_type` prints it.
    pub sql_type: String,
    /// Type without its length, for arrays and variables.
    pub base_type: String,
}

impl Table {
    /// Schema and name, quoted.
    pub fn quoted(&self) -> String {
        format!(
            "{}.{}",
            quote_identifier(&self.schema),
            quote_identifier(&self.name)
        )
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl Site {
    /// Looks the settings up in the catalog.
    ///
    /// # Errors
    /// A table or column that is not there, with the nearest name that is; a session key without a unique
    /// index; an expiry column of another type than `timestamp with time zone`.
    pub async fn inspect(
        client: &impl GenericClient,
        settings: &settings::Site,
    ) -> Result<Self, Error> {
        let sessions = table(client, "site.session_table", &settings.session_table).await?;
        let users = table(client, "site.user_table", &settings.user_table).await?;
        let user_key = match &settings.user_key {
            Some(name) => column(client, "site.user_key", &users, name).await?,
            None => primary_key(client, &users).await?,
        };
        let session_key =
            column(client, "site.session_key", &sessions, &settings.session_key).await?;
        require_unique(client, &sessions, &session_key).await?;
        require_unique(client, &users, &user_key).await?;
        let expires = column(
            client,
            "site.expires_column",
            &sessions,
            &settings.expires_column,
        )
        .await?;
        if expires.base_type != "timestamp with time zone" {
            return Err(Error::Expiry {
                table: sessions.to_string(),
                column: expires.name,
                sql_type: expires.sql_type,
            });
        }
        let reading = match super::catalog::columns(client, &sessions).await?.into_iter().find(|(column, _)| column.name == "session_data") {
            Some((column, _)) => Reading::Codec { column, codec: crate::codec::Codec::from(crate::codec::Format::Django) },
            None => Reading::App,
        };
        let watched = Watch::all(client, settings, &users, &user_key).await?;
        Ok(Self {
            sessions,
            session_key,
            expires,
            users,
            user_key,
            reading,
            queue_limit_bytes: u64::from(settings.queue_mb) << 20,
            watched,
        })
    }

    /// What the variables in `sql/` stand for.
    pub fn variables(&self) -> Variables {
        let mut variables = self.names();
        variables.extend(self.reading.variables());
        variables.insert("queue_limit_bytes", self.queue_limit_bytes.to_string());
        variables
    }

    /// Those that cannot change without installing anew: the tables that ours refer to, and their types.
    pub(super) fn names(&self) -> Variables {
        Variables::from([
            ("session_schema", self.sessions.schema.clone()),
            ("session_table", self.sessions.name.clone()),
            ("session_relation", quote_literal(&self.sessions.quoted())),
            ("session_key", self.session_key.name.clone()),
            ("session_key_type", self.session_key.sql_type.clone()),
            ("session_key_base_type", self.session_key.base_type.clone()),
            ("expires_column", self.expires.name.clone()),
            ("user_schema", self.users.schema.clone()),
            ("user_table", self.users.name.clone()),
            ("user_key", self.user_key.name.clone()),
            ("user_key_type", self.user_key.base_type.clone()),
        ])
    }

    /// The session settings through which the migrations learn the names.
    pub fn migration_settings(&self) -> [(&'static str, String); 4] {
        [
            ("session_reaper.session_table", self.sessions.quoted()),
            ("session_reaper.session_key", self.session_key.name.clone()),
            ("session_reaper.user_table", self.users.quoted()),
            ("session_reaper.user_key", self.user_key.name.clone()),
        ]
    }
}
