//! The types of our keys, which have to be those of the site's keys. Otherwise a link to a user beyond integer could
//! not be written, and a key that is compared under another collation could not use an index.

use tokio_postgres::{Client, GenericClient};

use super::{functions, outgrown};
use crate::connection;
use crate::schema::{Column, Error, Site, Table, lock, site::template::quote_identifier};

/// One of our keys, and the site's column that it has to match.
struct Key<'a> {
    ours: &'static str,
    table: &'a Table,
    column: &'a Column,
}

/// A key that does not match, in at least one of our tables.
pub(in crate::schema) struct Misfit<'a> {
    key: Key<'a>,
    is: String,
    was: String,
    /// Which tables, as SQL names them and as the catalog does.
    tables: Vec<(String, u32)>,
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
    fn describe(&self) -> String {
        let Self { key, is, was, .. } = self;
        format!("{} from {was} to {is}, like {}", key.ours, key.table)
    }
}

/// Gives our keys the types that the site's have now; returns what it did. Links of sessions that are gone must have
/// been removed before. Any other row with a key that a shorter type cannot hold refers to nothing, and is removed.
pub(in crate::schema) async fn adapt(client: &Client, site: &Site) -> Result<Vec<String>, Error> {
    let misfits = misfits(client, site).await?;
    if misfits.is_empty() {
        return Ok(Vec::new());
    }
    let result = match alter(client, site, &misfits, false).await {
        Err(Error::Connection(error)) if is_outgrown(&error) => {
            alter(client, site, &misfits, true).await
        }
        result => result,
    };
    match result {
        Err(Error::Connection(error)) if is_no_change_of_size(&error) => Err(misfits[0].no_cast()),
        Err(Error::Connection(error)) if is_outgrown(&error) => Err(Error::OutgrownEvictions),
        result => result.map(|()| misfits.iter().map(Misfit::describe).collect()),
    }
}

/// One transaction, because the functions have the types in their signatures and would not fit a table that was changed
/// without them.
///
/// No `using`: PostgreSQL itself then refuses anything but a mere change of size, and its message quotes no key (P7).
async fn alter(
    client: &Client,
    site: &Site,
    misfits: &[Misfit<'_>],
    forgets: bool,
) -> Result<(), Error> {
    let (mut forget, mut alterations) = (String::new(), String::new());
    let mut tables = Vec::new();
    for Misfit {
        key,
        is,
        tables: like,
        ..
    } in misfits
    {
        if forgets {
            forget.push_str(&outgrown::forget(key.ours, is, like, site.is_cached));
        }
        let ours = quote_identifier(key.ours);
        for (table, oid) in like {
            alterations.push_str(&format!(
                "alter table {table} alter column {ours} type {is};"
            ));
            tables.push(*oid);
        }
    }
    let statements = format!(
        "drop view if exists session_reaper.live_session, session_reaper.revocation_trail;
        {detach}
        {forget}
        {alterations}
        {functions}",
        detach = detach_own(&tables),
        functions = functions::anew(site),
    );
    let what = "the tables of session_reaper";
    lock::execute(client, &tables, what, &statements).await
}

impl Misfit<'_> {
    fn no_cast(&self) -> Error {
        Error::NoCast {
            table: self.key.table.to_string(),
            is: self.is.clone(),
            ours: self.was.clone(),
        }
    }
}

fn is_no_change_of_size(error: &connection::Error) -> bool {
    use tokio_postgres::error::SqlState;
    error.sqlstate() == Some(&SqlState::DATATYPE_MISMATCH)
}

/// One of our values is too long or too large for a type that has shrunk.
fn is_outgrown(error: &connection::Error) -> bool {
    let is_data = |code: &str| code.starts_with("22") || code == "23514";
    error.sqlstate().is_some_and(|state| is_data(state.code()))
}

/// Our own triggers on our own tables name their columns, too; `sql/` puts them back.
fn detach_own(tables: &[u32]) -> String {
    let tables: Vec<String> = tables.iter().map(u32::to_string).collect();
    format!(
        "do $$
        declare
            t record;
        begin
            for t in
                select g.tgname, g.tgrelid::pg_catalog.regclass as relation
                from pg_catalog.pg_trigger g
                where g.tgrelid in ({}) and not g.tgisinternal
            loop
                execute pg_catalog.format('drop trigger %I on %s', t.tgname, t.relation);
            end loop;
        end
        $$;",
        tables.join(", ")
    )
}

/// An unlogged table of sessions needs unlogged links. A logged one survives a crash, in which it would lose unlogged
/// links.
pub(in crate::schema) async fn adapt_persistence(
    client: &Client,
    site: &Site,
) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- schema::objects::key_types::adapt_persistence
            select s.relpersistence = 'u', s.relpersistence is distinct from l.relpersistence, l.oid
            from pg_catalog.pg_class s, pg_catalog.pg_class l
            where s.oid = $1 and l.oid = 'session_reaper.user_session'::pg_catalog.regclass",
            &[&site.sessions.oid],
        )
        .await?;
    let (unlogged, differs, links): (bool, bool, u32) = (row.get(0), row.get(1), row.get(2));
    if differs {
        let persistence = if unlogged { "unlogged" } else { "logged" };
        let statement = format!("alter table session_reaper.user_session set {persistence}");
        lock::execute(client, &[links], "session_reaper.user_session", &statement).await?;
    }
    Ok(differs)
}
