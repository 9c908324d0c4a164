//! One of the site's tables and a column of it, as the catalog has them.

use tokio_postgres::types::Type;

use super::template::quote_identifier;

/// A table with its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    pub(in crate::schema) oid: u32,
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
    /// What the catalog knows it by, whatever it is called.
    pub(in crate::schema) number: i16,
    /// What the catalog knows its type by, however that is printed.
    pub(in crate::schema) type_oid: u32,
    /// How its index compares, written as in an expression; empty for a type that has no collations.
    pub(in crate::schema) collation: String,
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

impl Column {
    /// Whether it has this type, one of PostgreSQL's own.
    pub(in crate::schema) fn is(&self, of: &Type) -> bool {
        self.type_oid == of.oid()
    }

    /// A value of this column as text that looks the same on every connection.
    pub(super) fn as_text(&self, value: &str) -> String {
        if self.is(&Type::BYTEA) {
            format!("pg_catalog.encode({value}, 'hex')")
        } else {
            format!("{value}::text")
        }
    }

    /// A value of this column as the bytes that a digest is made of.
    pub(super) fn as_bytes(&self, value: &str) -> String {
        if self.is(&Type::BYTEA) {
            value.to_owned()
        } else {
            text_as_bytes(value)
        }
    }
}

/// Any text as the bytes that a digest is made of. A database of encoding `SQL_ASCII` does not know that its text is
/// UTF-8, and would refuse what is not.
pub(super) fn text_as_bytes(value: &str) -> String {
    format!(
        "pg_catalog.convert_to({value}::text, case pg_catalog.getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)"
    )
}
