//! Where a session says who is logged in to it, and the triggers that see to it that this is read.

use tokio_postgres::GenericClient;

use super::{
    Column, Error, Table,
    catalog::column,
    template::{Variables, quote_identifier, quote_literal},
};
use crate::{
    codec::{self, Codec, Format, Found},
    settings,
};

/// How the user of a session is found.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// The app links its sessions itself.
    App,
    /// A column of the session table names the user.
    Column(Column),
    /// A JSON column has the user somewhere inside.
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

    /// Whether there is anything to read.
    pub fn reads(&self) -> bool {
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
            _ => Found::User(String::from_utf8_lossy(data).into_owned()),
        }
    }

    /// The text that names the user of a row `s`, where SQL can tell, and whether that is a user's id at all, by the rules
    /// of [`codec::find_in_column`]. For the trigger alone, which catches what fails here: the type json takes what jsonb
    /// refuses, and any visitor may have it written.
    fn user_named(&self) -> String {
        match self {
            Self::App | Self::Codec { .. } => "select null::text, false".to_owned(),
            Self::Column(column) => format!("select {}::text, true", quoted(column)),
            Self::Path { column, path } => {
                let steps: Vec<String> = path.iter().map(|step| quote_literal(step)).collect();
                format!(
                    "select nullif(j.user_id #>> '{{}}', ''), pg_catalog.jsonb_typeof(j.user_id) = 'string' \
                     or j.user_id::text ~ '^(0|-?[1-9][0-9]{{0,18}})$' \
                     from (select {}::jsonb #> array[{}] as user_id offset 0) j",
                    quoted(column),
                    steps.join(", ")
                )
            }
        }
    }

    /// What the daemon is given to read of a row `s`, as bytes. It is what stands there and nothing made of it, because
    /// one row that SQL could not read would fail the statement for all of them, again and again.
    fn data(&self) -> String {
        let column = match self {
            Self::App => return "null::bytea".to_owned(),
            Self::Column(column) => {
                return format!("pg_catalog.convert_to({}::text, 'UTF8')", quoted(column));
            }
            Self::Path { column, .. } | Self::Codec { column, .. } => column,
        };
        let (most, cut) = (codec::MAX_BYTES, codec::MAX_BYTES + 1);
        if column.base_type == "bytea" {
            let bytes = quoted(column);
            return format!(
                "case when pg_catalog.octet_length({bytes}) > {most} then pg_catalog.substr({bytes}, 1, {cut}) else {bytes} end"
            );
        }
        let text = format!("{}::text", quoted(column));
        format!(
            "pg_catalog.convert_to(case when pg_catalog.octet_length({text}) > {most} \
             then pg_catalog.left({text}, {cut}) else {text} end, 'UTF8')"
        )
    }

    /// What the variables in `sql/` stand for.
    pub(super) fn variables(&self) -> Variables {
        Variables::from([
            ("data", self.data()),
            ("user_named", self.user_named()),
            ("reads", self.reads().to_string()),
        ])
    }

    /// Event and function of each trigger that the session table needs, by name. A save that leaves the data alone
    /// must cost nothing.
    pub(super) fn triggers(&self) -> Vec<(&'static str, String, &'static str)> {
        let Some(column) = self.column() else {
            return Vec::new();
        };
        let function = match self {
            Self::Codec { .. } => "note_written",
            _ => "link_written",
        };
        let (old, new) = (self.compared("old", column), self.compared("new", column));
        let saved = format!("update on {{table}} for each row when ({old} is distinct from {new})");
        let opened = format!(
            "insert on {{table}} for each row{}",
            self.when_opened(column)
        );
        vec![
            ("session_opened", opened, function),
            ("session_saved", saved, function),
        ]
    }

    /// What has to differ for a save to count. Django's signature ends with the time of the save.
    fn compared(&self, row: &str, column: &Column) -> String {
        let name = quote_identifier(&column.name);
        match self {
            Self::Codec { codec, .. } if codec.format == Format::Django => {
                format!("pg_catalog.split_part({row}.{name}, ':', 1)")
            }
            // Not every type can be compared: json cannot.
            _ => format!("{row}.{name}::text"),
        }
    }

    /// Even an empty session counts: who comes into one that was seen to be opened is new to it.
    fn when_opened(&self, column: &Column) -> String {
        match self {
            Self::Codec { .. } => String::new(),
            _ => format!(" when (new.{} is not null)", quote_identifier(&column.name)),
        }
    }
}

fn quoted(column: &Column) -> String {
    format!("s.{}", quote_identifier(&column.name))
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
