//! The foreign keys that take a link away with its session or its user. Migrations make them. If one of the site's
//! tables is dropped and created again, it silently takes them along, and then links outlive their sessions.

use tokio_postgres::Client;

use crate::schema::{Column, Error, Site, Table, lock, site::template::quote_identifier};

/// The table that has them, apart from one that is built to take its place.
const LINKS: &str = "session_reaper.user_session";

/// A foreign key of `session_reaper.user_session`.
pub struct Reference<'a> {
    /// The table of the site that it refers to.
    pub table: &'a Table,
    key: &'a Column,
    name: &'static str,
    column: &'static str,
}

/// The foreign keys that have to exist.
pub fn wanted(site: &Site) -> [Reference<'_>; 2] {
    [
        Reference {
            table: &site.sessions,
            key: &site.session_key,
            name: "user_session_of_session",
            column: "session_key",
        },
        Reference {
            table: &site.users,
            key: &site.user_key,
            name: "user_session_of_user",
            column: "user_id",
        },
    ]
}

/// Makes the missing ones anew, and returns their names.
pub async fn mend(client: &Client, site: &Site) -> Result<Vec<String>, Error> {
    let mut mended = Vec::new();
    for reference in wanted(site) {
        if !reference.is_there(client).await? {
            reference.add(client, LINKS).await?;
            reference.validate(client, LINKS).await?;
            mended.push(format!("{} to {}", reference.name, reference.table));
        }
    }
    Ok(mended)
}

/// The site's table before ours, because that is the app's order: a transaction that deletes a session goes on to its
/// link. In the other order we would hold what the app waits for, and wait for what the app holds.
fn lock_first(table: &str, mode: &str) -> String {
    format!("lock table {table} in {mode} mode; ")
}

/// Takes them off, a table at a time.
pub async fn drop(client: &Client, site: &Site) -> Result<(), Error> {
    for Reference { table, name, .. } in wanted(site) {
        let drop = format!(
            "{}alter table {LINKS} drop constraint if exists {name}",
            lock_first(&table.quoted(), "access exclusive")
        );
        lock::execute(client, &[table.oid], &table.to_string(), &drop).await?;
    }
    Ok(())
}

/// Takes off all that one of our tables has, wherever they lead, a table at a time.
pub async fn drop_all(client: &Client, links: &str) -> Result<(), Error> {
    let rows = client
        .query(
            "-- schema::objects::foreign_keys::drop_all
            select pg_catalog.quote_ident(c.conname), c.confrelid, c.confrelid::pg_catalog.regclass::text
            from pg_catalog.pg_constraint c
            where c.conrelid = $1::text::pg_catalog.regclass and c.contype = 'f'",
            &[&links],
        )
        .await?;
    for row in rows {
        let (name, table, what): (&str, u32, &str) = (row.get(0), row.get(1), row.get(2));
        let drop = format!(
            "{}alter table {links} drop constraint {name}",
            lock_first(what, "access exclusive")
        );
        lock::execute(client, &[table], what, &drop).await?;
    }
    Ok(())
}

impl Reference<'_> {
    /// Whether it exists and refers to the table that has this name now.
    pub async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        let row = client
            .query_one(
                "-- schema::objects::foreign_keys::is_there
                select exists (
                    select
                    from pg_catalog.pg_constraint c
                    where c.conrelid = 'session_reaper.user_session'::pg_catalog.regclass
                      and c.conname = $1::text and c.contype = 'f' and c.confrelid = $2 and c.convalidated
                      -- \"disable trigger all\" switches a foreign key off, too.
                      and not exists (
                        select from pg_catalog.pg_trigger t where t.tgconstraint = c.oid and t.tgenabled = 'D'))",
                &[&self.name, &self.table.oid],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Makes it, for rows that are written from now on.
    pub async fn add(&self, client: &Client, links: &str) -> Result<(), Error> {
        let table = self.table.to_string();
        let lock = lock_first(&self.table.quoted(), "access exclusive");
        let add = format!("{lock}{}", self.adding(links));
        lock::execute(client, &[self.table.oid], &table, &add).await
    }

    /// What makes it.
    pub fn adding(&self, links: &str) -> String {
        let Self { name, column, .. } = self;
        let (table, key) = (self.table.quoted(), quote_identifier(&self.key.name));
        format!(
            "alter table {links} drop constraint if exists {name};
            alter table {links} add constraint {name} foreign key ({column})
                references {table} ({key}) on delete cascade on update cascade not valid"
        )
    }

    /// Takes out links that lead nowhere, once no further one can appear, and trusts the foreign key from then on.
    /// Transactions that use the table wait for neither. The error of a failed first try is caught, so it is logged
    /// nowhere (P7).
    pub async fn validate(&self, client: &Client, links: &str) -> Result<(), Error> {
        let Self { name, column, .. } = self;
        let (table, key) = (self.table.quoted(), quote_identifier(&self.key.name));
        let oid = self.table.oid;
        let validate = format!(
            "do $session_reaper$
            begin
                alter table {links} validate constraint {name};
            exception when foreign_key_violation then
                delete from {links} l
                    where not exists (
                        select from {table} t
                        where t.{key} = l.{column}
                          -- A foreign key does not look into the tables that inherit from this one.
                          and (t.tableoid = {oid} or exists (
                            select from pg_catalog.pg_class c where c.oid = {oid} and c.relkind = 'p')));
                alter table {links} validate constraint {name};
            end
            $session_reaper$"
        );
        lock::execute(
            client,
            &[self.table.oid],
            &self.table.to_string(),
            &validate,
        )
        .await
    }
}
