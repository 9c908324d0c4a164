//! Whether one of the site's tables can be used for what we need.

use tokio_postgres::GenericClient;

use crate::schema::{Column, Error, Table, Unusable, site::template::quote_identifier};

/// Anything but a table can have neither our triggers nor a foreign key that refers to it.
pub(super) async fn require_table(
    client: &impl GenericClient,
    setting: &'static str,
    table: &Table,
    kind: i8,
) -> Result<(), Error> {
    let (is, instead) = match u8::try_from(kind).unwrap_or_default() {
        b'r' | b'p' => return Ok(()),
        b'v' => ("a view", behind(client, table).await?),
        b'm' => ("a materialized view", behind(client, table).await?),
        b'f' => (
            "a foreign table",
            "its rows are in another database, so install session-reaper there".to_owned(),
        ),
        _ => ("no table", "set the name of a table".to_owned()),
    };
    Err(Unusable::NotTable {
        setting,
        name: table.to_string(),
        is,
        instead,
    }
    .into())
}

/// The tables that a view is made over, as advice.
async fn behind(client: &impl GenericClient, view: &Table) -> Result<String, Error> {
    let row = client
        .query_one(
            "-- schema::site::catalog::usable::behind
            select coalesce(string_agg(distinct n.nspname || '.' || c.relname, ' or '), '')
            from pg_catalog.pg_rewrite r
            join pg_catalog.pg_depend d
                on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
                and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'p')
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            where r.ev_class = $1",
            &[&view.oid],
        )
        .await?;
    let tables: &str = row.get(0);
    let which = match tables.is_empty() {
        true => String::new(),
        false => format!(", {tables}"),
    };
    Ok(format!("set the table that its rows come from{which}"))
}

/// A column that is not unique cannot be referenced by a foreign key (Auth.js's own schema is such a one).
pub(in crate::schema) async fn require_unique(
    client: &impl GenericClient,
    table: &Table,
    column: &Column,
) -> Result<(), Error> {
    let row = client
        .query_one(
            "-- schema::site::catalog::usable::require_unique
            select coalesce(bool_or(i.indisvalid), false),
                   min(i.indexrelid::pg_catalog.regclass::text) filter (where not i.indisvalid)
            from pg_catalog.pg_index i
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
            where i.indrelid = $1 and a.attname = $2::text
              and i.indisunique and i.indnkeyatts = 1 and i.indimmediate
              and i.indpred is null and i.indexprs is null",
            &[&table.oid, &column.name],
        )
        .await?;
    if row.get(0) {
        return Ok(());
    }
    let (quoted_table, quoted_column) = (table.quoted(), quote_identifier(&column.name));
    let (table, column) = (table.to_string(), column.name.clone());
    let unusable = match row.get(1) {
        Some(index) => Unusable::InvalidIndex {
            table,
            column,
            index,
            quoted_table,
            quoted_column,
        },
        None => Unusable::NotUnique {
            table,
            column,
            quoted_table,
            quoted_column,
        },
    };
    Err(unusable.into())
}

/// Row security would hide sessions from the functions that have to end them, and from the purge.
pub(in crate::schema) async fn require_no_row_security(
    client: &impl GenericClient,
    table: &Table,
) -> Result<(), Error> {
    let row = client
        .query_one(
            "-- schema::site::catalog::usable::require_no_row_security
            select pg_catalog.row_security_active($1::oid)",
            &[&table.oid],
        )
        .await?;
    if row.get(0) {
        let table = table.to_string();
        return Err(Error::RowSecurity { table });
    }
    Ok(())
}
