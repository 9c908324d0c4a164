//! What SQL can tell of a session's user, and the data that the daemon is given where it cannot.

use tokio_postgres::types::Type;

use super::UserSource;
use crate::{
    codec,
    schema::{
        Column,
        site::template::{Variables, quote_identifier, quote_literal},
    },
};

impl UserSource {
    /// What the column holds for a session without a logged-in user, as the server reads it; none where there is no
    /// such column, or where it does not take such bytes.
    pub(in crate::schema) fn blank(&self) -> Option<String> {
        match self {
            Self::App | Self::Column(_) => None,
            Self::Path { .. } => Some("{}".to_owned()),
            Self::Codec { column, codec } if column.is(&Type::BYTEA) => {
                let bytes = codec.format.blank().iter();
                let digits = bytes.map(|byte| format!("{byte:02x}"));
                Some(format!("\\x{}", digits.collect::<String>()))
            }
            Self::Codec { codec, .. } => {
                let text = std::str::from_utf8(codec.format.blank());
                text.ok().map(str::to_owned)
            }
        }
    }

    /// The text that names the user of a row `s`, where SQL can tell, and whether that is a user's id at all, by the
    /// rules of [`codec::find_in_column`]. Only for the trigger, which catches what fails here: the type json takes
    /// what jsonb refuses, and any visitor may cause it to be written.
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

    /// The column of a row `s` that the daemon is given to read.
    fn raw_data(&self) -> String {
        self.column()
            .map_or_else(|| "null::bytea".to_owned(), quoted)
    }

    /// The same as bytes, of a value `raw`: exactly what is stored. `data_of()` catches what fails here.
    fn data_of_raw(&self) -> String {
        let (most, cut) = (codec::MAX_BYTES, codec::MAX_BYTES + 1);
        let column = match self {
            Self::App => return "null::bytea".to_owned(),
            Self::Column(_) => return AS_BYTES.replace("{text}", "raw::text"),
            Self::Path { column, .. } | Self::Codec { column, .. } => column,
        };
        if column.is(&Type::BYTEA) {
            return format!(
                "case when pg_catalog.octet_length(raw) > {most} then pg_catalog.substr(raw, 1, {cut}) else raw end"
            );
        }
        let text = format!(
            "case when pg_catalog.octet_length(raw::text) > {most} then pg_catalog.left(raw::text, {cut}) else raw::text end"
        );
        AS_BYTES.replace("{text}", &text)
    }

    /// What the variables in `sql/` stand for.
    pub(in crate::schema) fn variables(&self) -> Variables {
        Variables::from([
            ("raw_data", self.raw_data()),
            ("data_of_raw", self.data_of_raw()),
            ("user_named", self.user_named()),
            ("reads", self.is_in_session().to_string()),
        ])
    }
}

/// A database of encoding SQL_ASCII does not know what its bytes mean, but the app that wrote them does.
const AS_BYTES: &str = "pg_catalog.convert_to({text}, session_reaper.exchanged_encoding())";

fn quoted(column: &Column) -> String {
    format!("s.{}", quote_identifier(&column.name))
}
