//! What the database does: the files of `sql/`, applied where their text differs from what is in force.

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::files::{FILES, VIEW};
use crate::schema::{
    Error, Site, lock,
    site::template::{quote_literal, render},
};

/// One file with this site's names in it.
struct File {
    name: &'static str,
    text: String,
}

impl File {
    fn digest(&self) -> String {
        digest(&self.text)
    }

    /// Applies the file and notes that.
    fn remembered(&self) -> String {
        format!(
            "{}
            ;
            insert into session_reaper.behaviour (name, digest)
            values ({}, {})
            on conflict (name) do update set digest = excluded.digest, applied_at = now();",
            self.text,
            quote_literal(self.name),
            quote_literal(&self.digest())
        )
    }
}

/// SHA-256 in hex.
pub fn digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn files(site: &Site) -> impl Iterator<Item = File> {
    let variables = site.variables();
    FILES
        .into_iter()
        .chain([VIEW])
        .map(move |(name, text)| File {
            name,
            text: render(text, &variables),
        })
}

/// Every file with this site's names in it.
pub fn texts(site: &Site) -> impl Iterator<Item = (&'static str, String)> {
    files(site).map(|file| (file.name, file.text))
}

/// The view, which depends on the tables that it was made over.
pub fn view(site: &Site) -> String {
    render(VIEW.1, &site.variables())
}

/// Applies each file that differs, in its own transaction; returns their names. Some make triggers on our tables, which
/// the app's own transactions write, too: so each gives way there, as it does on the site's tables (P6).
pub async fn apply(client: &Client, site: &Site) -> Result<Vec<&'static str>, Error> {
    let mut applied = Vec::new();
    let missing = missing(client).await?;
    for file in files(site) {
        let is_whole = !functions(&file.text).any(|name| missing.iter().any(|one| one == name));
        if is_whole && in_force(client, file.name).await?.as_deref() == Some(file.digest().as_str())
        {
            continue;
        }
        let what = format!("what sql/{}.sql makes triggers on", file.name);
        lock::execute(client, &[], &what, &file.remembered()).await?;
        applied.push(file.name);
    }
    Ok(applied)
}

/// The SQL that replaces every function, in one piece: a type in a signature has changed, so `create or replace` would
/// leave the old function beside the new one, or fail. Trigger functions have no signature, and triggers depend on
/// them. A digest is remembered with each file.
pub fn anew(site: &Site) -> String {
    let mut text = "
        do $$
        declare
            f pg_catalog.regprocedure;
        begin
            loop
                -- PostgreSQL knows which functions those with a body in its own syntax call, and keeps what is called.
                select p.oid into f
                from pg_catalog.pg_proc p
                where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace
                  and p.prorettype <> 'trigger'::pg_catalog.regtype
                  and not exists (
                    select
                    from pg_catalog.pg_depend d
                    where d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                      and d.refobjid = p.oid
                      and d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
                limit 1;
                exit when not found;
                execute pg_catalog.format('drop function %s', f);
            end loop;
        end
        $$;"
    .to_owned();
    for file in files(site) {
        text.push_str(&file.remembered());
    }
    text
}

/// The files whose text in force is not this release's.
pub async fn differing(client: &Client, site: &Site) -> Result<Vec<&'static str>, Error> {
    let mut names = Vec::new();
    for file in files(site) {
        if in_force(client, file.name).await?.as_deref() != Some(file.digest().as_str()) {
            names.push(file.name);
        }
    }
    Ok(names)
}

/// Functions of this release that do not exist, whatever is remembered.
pub async fn missing(client: &Client) -> Result<Vec<String>, Error> {
    let names: Vec<&str> = FILES.iter().flat_map(|(_, text)| functions(text)).collect();
    let rows = client
        .query(
            "-- schema::objects::functions::missing
            select distinct w.name
            from pg_catalog.unnest($1::text[]) as w (name)
            where not exists (
                select
                from pg_catalog.pg_proc p
                where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace and p.proname = w.name)
            order by w.name",
            &[&names],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The names of the functions that a file makes.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("create or replace function session_reaper."))
        .filter_map(|rest| rest.split('(').next())
}

/// The digest that was remembered under this name.
pub async fn in_force(client: &Client, name: &str) -> Result<Option<String>, Error> {
    let row = client
        .query_opt(
            "-- schema::objects::functions::in_force
            select b.digest from session_reaper.behaviour b where b.name = $1",
            &[&name],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// Remembers what is in force under this name.
pub async fn remember(
    client: &impl tokio_postgres::GenericClient,
    name: &str,
    digest: &str,
) -> Result<(), Error> {
    client
        .execute(
            "-- schema::objects::functions::remember
            insert into session_reaper.behaviour (name, digest)
            values ($1, $2)
            on conflict (name) do update set digest = excluded.digest, applied_at = now()",
            &[&name, &digest],
        )
        .await?;
    Ok(())
}
