//! Why a table or a column that the settings name cannot be used.

/// A sentence for the operator: what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the sentence that it displays")]
pub enum Unusable {
    #[error("{setting} names the table {name}, which does not exist{}", did_you_mean(.nearest, "set its name, with its schema if it is not in the search_path"))]
    NoTable {
        setting: &'static str,
        name: String,
        nearest: Option<String>,
    },
    #[error(
        "{setting} names {name}, which is {is}, and only a table can have the triggers that this needs: {instead}"
    )]
    NotTable {
        setting: &'static str,
        name: String,
        is: &'static str,
        instead: String,
    },
    #[error("{setting} names the column {name}, which {table} does not have{}", did_you_mean(.nearest, "set the name of an existing column"))]
    NoColumn {
        setting: &'static str,
        name: String,
        table: String,
        nearest: Option<String>,
    },
    #[error(
        "{table} has no primary key of one column: set site.user_key to the column that identifies a user"
    )]
    NoPrimaryKey { table: String },
    #[error(
        "{table}.{column} has no unique index, so nothing can reference it: create one with: create unique index concurrently on {quoted_table} ({quoted_column})"
    )]
    NotUnique {
        table: String,
        column: String,
        quoted_table: String,
        quoted_column: String,
    },
    #[error(
        "{table}.{column} {fault}, so that one key could be written in two ways, and session-reaper would take them for two: give it a plain type and collation, for instance with: alter table {quoted_table} alter column {quoted_column} type text collate \"default\"; or name another unique column as {setting}"
    )]
    KeyEquality {
        setting: &'static str,
        table: String,
        column: String,
        fault: Box<str>,
        quoted_table: Box<str>,
        quoted_column: Box<str>,
    },
    #[error(
        "{table}.{column} has a unique index, {index}, that PostgreSQL could not finish, perhaps because two rows have the same value: drop it with: drop index concurrently {index}; mend the rows; and create it anew with: create unique index concurrently on {quoted_table} ({quoted_column})"
    )]
    InvalidIndex {
        table: String,
        column: String,
        index: String,
        quoted_table: String,
        quoted_column: String,
    },
    #[error(
        "{table}.{column} is of type {sql_type}, which says no time: set site.expires_column to a timestamp or to an integer"
    )]
    Expiry {
        table: String,
        column: String,
        sql_type: String,
    },
    #[error(
        "{table}.{column} is a timestamp without time zone, and a zone is never guessed: set site.time_zone to the one that the app writes in, such as UTC or America/New_York"
    )]
    NoZone { table: String, column: String },
    #[error("site.time_zone names the zone {name}, which the server does not know{}", did_you_mean(.nearest, "set a name of pg_timezone_names"))]
    UnknownZone {
        name: String,
        nearest: Option<String>,
    },
    #[error(
        "{table}.{column} is a number, and a unit is never guessed: set site.expires_unit to \"epoch_s\" or \"epoch_ms\", for seconds or milliseconds since 1970"
    )]
    NoUnit { table: String, column: String },
    #[error("the numbers in {table}.{column} cannot be times: {advice}")]
    Implausible {
        table: String,
        column: String,
        advice: &'static str,
    },
    #[error(
        "{table}.{column} is of type {sql_type}: site.data_column has to be {wanted} for the user to be found in it"
    )]
    DataType {
        table: String,
        column: String,
        sql_type: String,
        wanted: &'static str,
    },
}

fn did_you_mean(nearest: &Option<String>, otherwise: &str) -> String {
    match nearest {
        Some(name) => format!(": did you mean {name}?"),
        None => format!(": {otherwise}"),
    }
}
