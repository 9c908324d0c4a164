//! The triggers that notice what is written into sessions, so that it is read.

use super::UserSource;
use crate::{
    codec::Format,
    schema::{Column, site::template::quote_identifier},
};

impl UserSource {
    /// Event and function of each trigger that the session table needs, by name. A save that leaves the data alone
    /// must cost nothing.
    pub(in crate::schema) fn triggers(&self) -> Vec<(&'static str, String, &'static str)> {
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

    /// Even an empty session counts: a user who comes into a session that was seen to be opened is new to it.
    fn when_opened(&self, column: &Column) -> String {
        match self {
            Self::Codec { .. } => String::new(),
            _ => format!(" when (new.{} is not null)", quote_identifier(&column.name)),
        }
    }
}
