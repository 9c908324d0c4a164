//! Looks names up in PostgreSQL's catalog; a mistake is reported in one sentence with the nearest name.

mod equality;
mod usable;

use tokio_postgres::GenericClient;

use crate::schema::{Column, Error, Site, Table, Unusable};
pub(in crate::schema) use equality::require_plain_equality;
use usable::require_table;
pub(in crate::schema) use usable::{require_no_row_security, require_unique};

pub(in crate::schema) async fn table(
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
            "-- schema::site::catalog::table
            select n.nspname::text, c.oid, c.relkind
            from pg_catalog.pg_class c
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            where c.relname = $1::text
              and case when $2::text is null then pg_catalog.pg_table_is_visible(c.oid) else n.nspname = $2 end",
            &[&name, &schema],
        )
        .await?;
    match found {
        Some(row) => {
            let table = Table {
                schema: row.get(0),
                name: name.to_owned(),
                oid: row.get(1),
            };
            require_table(client, setting, &table, row.get(2)).await?;
            Ok(table)
        }
        None => Err(Unusable::NoTable {
            setting,
            name: given.to_owned(),
            nearest: nearest_table(client, name).await?,
        }
        .into()),
    }
}

async fn nearest_table(client: &impl GenericClient, name: &str) -> Result<Option<String>, Error> {
    let rows = client
        .query(
            "-- schema::site::catalog::nearest_table
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

/// The base type is that of -1, no length: without any, `character` would mean one character. The site's own types are
/// named with their schema: our functions have no `search_path`.
pub(in crate::schema) async fn columns(
    client: &impl GenericClient,
    table: &Table,
) -> Result<Vec<(Column, bool)>, Error> {
    let rows = client
        .query(
            "-- schema::site::catalog::columns
            select a.attname::text,
                   case when n.nspname = 'pg_catalog' then pg_catalog.format_type(a.atttypid, a.atttypmod)
                        else pg_catalog.format('%I.%I', n.nspname, t.typname) end,
                   case when n.nspname = 'pg_catalog' then pg_catalog.format_type(a.atttypid, -1)
                        else pg_catalog.format('%I.%I', n.nspname, t.typname) end,
                   coalesce(i.indnkeyatts = 1, false), a.attnum, a.atttypid,
                   coalesce(case when l.oid is not null then pg_catalog.format('collate %I.%I', m.nspname, l.collname) end, '')
            from pg_catalog.pg_attribute a
            join pg_catalog.pg_type t on t.oid = a.atttypid
            join pg_catalog.pg_namespace n on n.oid = t.typnamespace
            left join pg_catalog.pg_index i
                on i.indrelid = a.attrelid and i.indisprimary and i.indkey[0] = a.attnum
            left join (
                pg_catalog.pg_collation l join pg_catalog.pg_namespace m on m.oid = l.collnamespace) on l.oid = a.attcollation
            where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped",
            &[&table.oid],
        )
        .await?;
    let column = |row: &tokio_postgres::Row| Column {
        name: row.get(0),
        sql_type: row.get(1),
        base_type: row.get(2),
        number: row.get(4),
        type_oid: row.get(5),
        collation: row.get(6),
    };
    Ok(rows.iter().map(|row| (column(row), row.get(3))).collect())
}

pub(in crate::schema) async fn column(
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
        .ok_or_else(|| Unusable::NoColumn {
            setting,
            name: name.to_owned(),
            table: table.to_string(),
            nearest,
        })
        .map_err(Error::from)
}

/// A column of the user table that the operator named on the command line.
///
/// # Errors
/// When there is no such column, or the database does not answer.
pub async fn user_column(
    client: &impl GenericClient,
    site: &Site,
    name: &str,
) -> Result<Column, Error> {
    column(client, "--by", &site.users, name).await
}

pub(in crate::schema) async fn primary_key(
    client: &impl GenericClient,
    table: &Table,
) -> Result<Column, Error> {
    columns(client, table)
        .await?
        .into_iter()
        .find_map(|(column, is_primary)| is_primary.then_some(column))
        .ok_or_else(|| Unusable::NoPrimaryKey {
            table: table.to_string(),
        })
        .map_err(Error::from)
}

/// The known name most like the given one, if any is like it at all.
pub(in crate::schema) fn nearest(
    given: &str,
    known: impl Iterator<Item = String>,
) -> Option<String> {
    known
        .map(|name| (strsim::jaro_winkler(given, &name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The names of zones that the server knows.
pub(in crate::schema) async fn time_zones(
    client: &impl GenericClient,
) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "-- schema::site::catalog::time_zones
            select z.name from pg_catalog.pg_timezone_names z",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
