//! Where a session tells who is logged in to it, and the triggers that make sure that this is read.

mod noticed;
mod sql;

use tokio_postgres::{GenericClient, types::Type};

use super::catalog::column;
use crate::schema::{Column, Error, Table, Unusable};
use crate::{
    codec::{self, Codec, Found, Reason},
    settings,
};

/// How the user of a session is found.
#[derive(Clone, Debug, PartialEq)]
pub enum UserSource {
    /// The app links its sessions itself.
    App,
    /// A column of the session table names the user.
    Column(Column),
    /// A JSON column holds the user somewhere inside.
    Path {
        /// The column.
        column: Column,
        /// The keys that lead to the user, outermost first.
        path: Vec<String>,
    },
    /// A column holds data that SQL cannot read.
    Codec {
        /// The column.
        column: Column,
        /// How to read it.
        codec: Codec,
    },
}

impl UserSource {
    /// Looks the settings up in the catalog. They have already been checked for contradictions.
    pub(in crate::schema) async fn find(
        client: &impl GenericClient,
        settings: &settings::Site,
        sessions: &Table,
    ) -> Result<Self, Error> {
        if let Some(name) = &settings.user_column {
            let column = column(client, "site.user_column", sessions, name).await?;
            return Ok(Self::Column(column));
        }
        let Some(name) = &settings.data_column else {
            return Ok(Self::App);
        };
        let column = column(client, "site.data_column", sessions, name).await?;
        match (&settings.user_path, &settings.codec) {
            (Some(path), _) => {
                require(
                    &column,
                    sessions,
                    &[Type::JSON, Type::JSONB],
                    "json or jsonb",
                )?;
                let path = path.clone();
                Ok(Self::Path { column, path })
            }
            (None, Some(codec)) => {
                let readable = [
                    Type::TEXT,
                    Type::VARCHAR,
                    Type::BPCHAR,
                    Type::BYTEA,
                    Type::JSON,
                    Type::JSONB,
                ];
                require(&column, sessions, &readable, "text or bytea")?;
                let codec = codec.clone();
                Ok(Self::Codec { column, codec })
            }
            (None, None) => Ok(Self::App),
        }
    }

    /// Whether there is anything to read.
    pub fn is_in_session(&self) -> bool {
        *self != Self::App
    }

    /// The column that is read.
    pub fn column(&self) -> Option<&Column> {
        match self {
            Self::App => None,
            Self::Column(column) | Self::Path { column, .. } | Self::Codec { column, .. } => {
                Some(column)
            }
        }
    }

    /// Finds the user in what the daemon was given to read.
    pub fn find_user(&self, data: &[u8]) -> Found {
        match self {
            Self::Codec { codec, .. } => codec.find_user(data),
            Self::Path { path, .. } => codec::find_in_column(data, path),
            _ if data.is_empty() => Found::Anonymous,
            _ => String::from_utf8(data.to_vec())
                .map_or(Found::Unreadable(Reason::NotKey), Found::User),
        }
    }
}

fn require(
    column: &Column,
    table: &Table,
    types: &[Type],
    wanted: &'static str,
) -> Result<(), Error> {
    if types.iter().any(|known| column.is(known)) {
        return Ok(());
    }
    Err(Unusable::DataType {
        table: table.to_string(),
        column: column.name.clone(),
        sql_type: column.sql_type.clone(),
        wanted,
    }
    .into())
}
