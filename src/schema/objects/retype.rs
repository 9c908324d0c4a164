//! Gives our keys the types that the site's keys have now, and our links the persistence that its sessions have.

use tokio_postgres::Client;

use super::{
    functions,
    key_types::{Misfit, misfits},
    outgrown,
};
use crate::{
    connection,
    schema::{Error, Site, lock, site::template::quote_identifier},
};

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
            "-- schema::objects::retype::adapt_persistence
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
