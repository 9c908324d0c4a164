//! Where the user of a session is found: in a column, in JSON that SQL can read, or in data that only Rust can.

use tokio_postgres::GenericClient;

use super::{Column, Error, Table, catalog::column};
use crate::{codec::Codec, settings};

/// How the user of a session is found.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// By the app, which links its sessions itself.
    App,
    /// In a column of the session table.
    Column(Column),
    /// In a json or jsonb column, at the end of a path of keys.
    Path {
        /// The column.
        column: Column,
        /// The keys, outermost first.
        path: Vec<String>,
    },
    /// In data that is read outside SQL.
    Codec {
        /// The column.
        column: Column,
        /// What reads it.
        codec: Codec,
    },
}

impl Reading {
    /// Looks the settings up in the catalog. That they contradict each other in nothing has been checked.
    pub(super) async fn find(
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
                require(&column, sessions, &["json", "jsonb"], "json or jsonb")?;
                let path = path.clone();
                Ok(Self::Path { column, path })
            }
            (None, Some(codec)) => {
                let readable = [
                    "text",
                    "character varying",
                    "character",
                    "bytea",
                    "json",
                    "jsonb",
                ];
                require(&column, sessions, &readable, "text or bytea")?;
                let codec = codec.clone();
                Ok(Self::Codec { column, codec })
            }
            (None, None) => Ok(Self::App),
        }
    }

    /// The column of the session table that is read; none where the app links.
    pub fn column(&self) -> Option<&Column> {
        match self {
            Self::App => None,
            Self::Column(column) | Self::Path { column, .. } | Self::Codec { column, .. } => {
                Some(column)
            }
        }
    }
}

fn require(
    column: &Column,
    table: &Table,
    types: &[&str],
    wanted: &'static str,
) -> Result<(), Error> {
    if types.contains(&column.base_type.as_str()) {
        return Ok(());
    }
    Err(Error::DataType {
        table: table.to_string(),
        column: column.name.clone(),
        sql_type: column.sql_type.clone(),
        wanted,
    })
}
