//! The site's tables, as the catalog has them: what the operator named is looked up, never trusted.

use tokio_postgres::GenericClient;

use super::{
    Error,
    template::{Variables, quote_identifier},
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
    /// The column that holds the password's hash.
    pub password: Column,
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
        let password = column(
            client,
            "site.password_column",
            &users,
            &settings.password_column,
        )
        .await?;
        Ok(Self {
            sessions,
            session_key,
            expires,
            users,
            user_key,
            password,
        })
    }

    /// What the variables in `sql/` stand for.
    pub fn variables(&self) -> Variables {
        Variables::from([
            ("session_schema", self.sessions.schema.clone()),
            ("session_table", self.sessions.name.clone()),
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

async fn table(
    client: &impl GenericClient,
    setting: &'static str,
    given: &str,
) -> Result<Table, Error> {
    let (schema, name) = match given.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, given),
    };
    let found = client
        .query_opt(
            "-- schema::site::table
            select n.nspname::text, c.oid
            from pg_catalog.pg_class c
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            where c.relname = $1::text
              and c.relkind in ('r', 'p')
              and case when $2::text is null then pg_catalog.pg_table_is_visible(c.oid) else n.nspname = $2 end",
            &[&name, &schema],
        )
        .await?;
    match found {
        Some(row) => Ok(Table {
            schema: row.get(0),
            name: name.to_owned(),
            oid: row.get(1),
        }),
        None => Err(Error::NoTable {
            setting,
            name: given.to_owned(),
            nearest: nearest_table(client, name).await?,
        }),
    }
}

async fn nearest_table(client: &impl GenericClient, name: &str) -> Result<Option<String>, Error> {
    let rows = client
        .query(
            "-- schema::site::nearest_table
            select case when pg_catalog.pg_table_is_visible(c.oid) then c.relname::text
                        else n.nspname || '.' || c.relname end
            from pg_catalog.pg_class c
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p')
              and n.nspname !~ '^(pg_|information_schema$|session_reaper$)'",
            &[],
        )
        .await?;
    Ok(nearest(name, rows.iter().map(|row| row.get(0))))
}

/// Types of the site's own are named with their schema: functions of ours have no `search_path`.
async fn columns(client: &impl GenericClient, table: &Table) -> Result<Vec<(Column, bool)>, Error> {
    let rows = client
        .query(
            "-- schema::site::columns
            select a.attname::text,
                   case when n.nspname = 'pg_catalog' then pg_catalog.format_type(a.atttypid, a.atttypmod)
                        else pg_catalog.format('%I.%I', n.nspname, t.typname) end,
                   case when n.nspname = 'pg_catalog' then pg_catalog.format_type(a.atttypid, null)
                        else pg_catalog.format('%I.%I', n.nspname, t.typname) end,
                   coalesce(i.indnkeyatts = 1, false)
            from pg_catalog.pg_attribute a
            join pg_catalog.pg_type t on t.oid = a.atttypid
            join pg_catalog.pg_namespace n on n.oid = t.typnamespace
            left join pg_catalog.pg_index i
                on i.indrelid = a.attrelid and i.indisprimary and i.indkey[0] = a.attnum
            where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped",
            &[&table.oid],
        )
        .await?;
    let column = |row: &tokio_postgres::Row| Column {
        name: row.get(0),
        sql_type: row.get(1),
        base_type: row.get(2),
    };
    Ok(rows.iter().map(|row| (column(row), row.get(3))).collect())
}

async fn column(
    client: &impl GenericClient,
    setting: &'static str,
    table: &Table,
    name: &str,
) -> Result<Column, Error> {
    let columns = columns(client, table).await?;
    let nearest = nearest(name, columns.iter().map(|(column, _)| column.name.clone()));
    columns
        .into_iter()
        .map(|(column, _)| column)
        .find(|column| column.name == name)
        .ok_or_else(|| Error::NoColumn {
            setting,
            name: name.to_owned(),
            table: table.to_string(),
            nearest,
        })
}

async fn primary_key(client: &impl GenericClient, table: &Table) -> Result<Column, Error> {
    columns(client, table)
        .await?
        .into_iter()
        .find_map(|(column, is_primary)| is_primary.then_some(column))
        .ok_or_else(|| Error::NoPrimaryKey {
            table: table.to_string(),
        })
}

/// A column that is not unique cannot be referenced by a foreign key (Auth.js's own schema is such a one).
async fn require_unique(
    client: &impl GenericClient,
    table: &Table,
    column: &Column,
) -> Result<(), Error> {
    let row = client
        .query_one(
            "-- schema::site::require_unique
            select exists (
                select
                from pg_catalog.pg_index i
                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                where i.indrelid = $1 and a.attname = $2::text
                  and i.indisunique and i.indnkeyatts = 1 and i.indimmediate
                  and i.indpred is null and i.indexprs is null)",
            &[&table.oid, &column.name],
        )
        .await?;
    if row.get(0) {
        Ok(())
    } else {
        Err(Error::NotUnique {
            table: table.to_string(),
            column: column.name.clone(),
            quoted_table: table.quoted(),
            quoted_column: quote_identifier(&column.name),
        })
    }
}

/// The known name that is most like the given one, if one is like it at all.
fn nearest(given: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|name| (strsim::jaro_winkler(given, &name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
