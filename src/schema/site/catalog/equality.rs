//! Whether a key is compared here as the site compares it.

use tokio_postgres::GenericClient;

use crate::schema::{Column, Error, Table, Unusable, site::template::quote_identifier};

/// Two spellings of a key that the site takes for one must not be two keys here: the sessions of "bob" would outlive
/// the change of "Bob". Our functions find only the operators of `pg_catalog`, because any role could put others into
/// another schema, and they keep digests of keys. So a type with its own equality (citext) is refused, and so is a
/// collation under which different texts are equal.
pub(in crate::schema) async fn require_plain_equality(
    client: &impl GenericClient,
    setting: &'static str,
    table: &Table,
    column: &Column,
) -> Result<(), Error> {
    let row = client
        .query_one(PLAIN_EQUALITY, &[&table.oid, &column.name])
        .await?;
    let (base_type, collation): (Option<String>, Option<String>) = (row.get(0), row.get(1));
    let fault = match (base_type, collation) {
        (Some(name), _) => format!("is of type {name}, which has an equality of its own"),
        (None, Some(name)) => {
            format!("has the collation {name}, under which different texts are equal")
        }
        (None, None) if row.get(2) => return Ok(()),
        _ => "is unique only by an operator class of its own".to_owned(),
    };
    Err(Unusable::KeyEquality {
        setting,
        table: table.to_string(),
        column: column.name.clone(),
        fault: fault.into(),
        quoted_table: table.quoted().into(),
        quoted_column: quote_identifier(&column.name).into(),
    }
    .into())
}

/// The type whose equality is not PostgreSQL's own, also under a domain; the collation that makes different texts
/// equal; and whether a unique index compares as PostgreSQL does. The equality is that of the type's default operator
/// class: a type without its own class is compared by that of one of PostgreSQL's types.
const PLAIN_EQUALITY: &str = "-- schema::site::catalog::equality::plain_equality
    with recursive typed as (
        select a.atttypid as type, a.attcollation as collation, a.attnum
        from pg_catalog.pg_attribute a
        where a.attrelid = $1 and a.attname = $2::text and not a.attisdropped
        union all
        select t.typbasetype, d.collation, d.attnum
        from typed d
        join pg_catalog.pg_type t on t.oid = d.type
        where t.typtype = 'd'
    ), equality as (
        select c.oid as opclass, c.opcintype as type, c.opcdefault as is_default,
            pg_catalog.bool_and(n.nspname = 'pg_catalog') as is_plain
        from pg_catalog.pg_opclass c
        join pg_catalog.pg_am m on m.oid = c.opcmethod
        join pg_catalog.pg_amop o on o.amopfamily = c.opcfamily and o.amoplefttype = c.opcintype
            and o.amoprighttype = c.opcintype and o.amopstrategy = case m.amname when 'btree' then 3 else 1 end
        join pg_catalog.pg_operator e on e.oid = o.amopopr
        join pg_catalog.pg_namespace n on n.oid = e.oprnamespace
        where m.amname in ('btree', 'hash')
        group by c.oid
    )
    select
        (select pg_catalog.format_type(d.type, null)
         from typed d join equality q on q.type = d.type and q.is_default and not q.is_plain limit 1),
        (select c.collname::text
         from typed d join pg_catalog.pg_collation c on c.oid = d.collation where not c.collisdeterministic limit 1),
        exists (
            select
            from pg_catalog.pg_index i
            join equality q on q.opclass = i.indclass[0] and q.is_plain
            where i.indrelid = $1 and i.indkey[0] in (select d.attnum from typed d)
              and i.indisunique and i.indnkeyatts = 1 and i.indimmediate
              and i.indpred is null and i.indexprs is null)";
