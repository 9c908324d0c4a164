//! The types of our keys, which have to be those of the site's keys. Otherwise a link to a user beyond integer could
//! not be written, and a key that is compared under another collation could not use an index.

use tokio_postgres::GenericClient;

use crate::schema::{Column, Error, Site, Table};

/// One of our keys, and the site's column that it has to match.
pub(super) struct Key<'a> {
    pub(super) ours: &'static str,
    table: &'a Table,
    column: &'a Column,
}

/// A key that does not match, in at least one of our tables.
pub(in crate::schema) struct Misfit<'a> {
    pub(super) key: Key<'a>,
    pub(super) is: String,
    was: String,
    /// Which tables, as SQL names them and as the catalog does.
    pub(super) tables: Vec<(String, u32)>,
}

/// Each of our columns with that name has the site's type. All are looked at, because a site may alter one of them
/// itself: Django does so for a site's own model on `user_session`.
const MISFITS: &str = "-- schema::objects::key_types::misfits
    with typed as (
        select a.attrelid, a.atttypid, a.atttypmod, a.attcollation,
            pg_catalog.format_type(a.atttypid, a.atttypmod)
                || case when a.attcollation <> t.typcollation
                    then pg_catalog.format(' collate %I.%I', n.nspname, l.collname) else '' end as name
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_class c on c.oid = a.attrelid
        join pg_catalog.pg_type t on t.oid = a.atttypid
        left join pg_catalog.pg_collation l on l.oid = a.attcollation
        left join pg_catalog.pg_namespace n on n.oid = l.collnamespace
        where a.attrelid = $1 and a.attname = $2::text
            or a.attname = $3::text
                and c.relkind = 'r'
                and c.relnamespace = 'session_reaper'::pg_catalog.regnamespace
    )
    select s.name, o.name, o.attrelid::pg_catalog.regclass::text, o.attrelid
    from typed s
    join typed o on o.attrelid <> s.attrelid
    where s.attrelid = $1
      and (s.atttypid, s.atttypmod, s.attcollation) <> (o.atttypid, o.atttypmod, o.attcollation)
    order by o.attrelid";

/// The keys whose type differs from the site's.
pub(in crate::schema) async fn misfits<'a>(
    client: &impl GenericClient,
    site: &'a Site,
) -> Result<Vec<Misfit<'a>>, Error> {
    let keys = [
        ("session_key", &site.sessions, &site.session_key),
        ("user_id", &site.users, &site.user_key),
    ];
    let mut misfits = Vec::new();
    for (ours, table, column) in keys {
        let rows = client
            .query(MISFITS, &[&table.oid, &column.name, &ours])
            .await?;
        misfits.extend(rows.first().map(|row| Misfit {
            key: Key {
                ours,
                table,
                column,
            },
            is: row.get(0),
            was: row.get(1),
            tables: rows.iter().map(|row| (row.get(2), row.get(3))).collect(),
        }));
    }
    Ok(misfits)
}

impl Misfit<'_> {
    /// As an error, where mending it was not asked for.
    pub(in crate::schema) fn complain(&self) -> Error {
        Error::KeyType {
            table: self.key.table.to_string(),
            column: self.key.column.name.clone(),
            is: self.is.clone(),
            ours: self.was.clone(),
        }
    }

    /// What is done about it.
    pub(super) fn describe(&self) -> String {
        let Self { key, is, was, .. } = self;
        format!("{} from {was} to {is}, like {}", key.ours, key.table)
    }

    /// As an error, where the types are of another kind.
    pub(super) fn no_cast(&self) -> Error {
        Error::NoCast {
            table: self.key.table.to_string(),
            is: self.is.clone(),
            ours: self.was.clone(),
        }
    }
}
