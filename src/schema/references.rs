//! The foreign keys that take a link away with its session or its user. Migrations make them; a table of the
//! site that is dropped and created again takes them along, silently, and then links outlive their sessions.

use tokio_postgres::Client;

use super::{Column, Error, Site, Table, patience, template::quote_identifier};

/// A foreign key of `session_reaper.user_session`.
pub struct Reference<'a> {
    /// The table of the site that it refers to.
    pub table: &'a Table,
    key: &'a Column,
    name: &'static str,
    column: &'static str,
}

/// Those that have to be there.
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

/// Makes those anew that are missing, and names them.
pub async fn mend(client: &Client, site: &Site) -> Result<Vec<String>, Error> {
    let mut mended = Vec::new();
    for reference in wanted(site) {
        if !reference.is_there(client).await? {
            reference.make(client).await?;
            mended.push(format!("{} to {}", reference.name, reference.table));
        }
    }
    Ok(mended)
}

/// Takes them off, a table at a time.
pub async fn drop(client: &Client, site: &Site) -> Result<(), Error> {
    for Reference { table, name, .. } in wanted(site) {
        let drop =
            format!("alter table session_reaper.user_session drop constraint if exists {name}");
        patience::execute(client, &[table.oid], &table.to_string(), &drop).await?;
    }
    Ok(())
}

impl Reference<'_> {
    /// Whether it is there and refers to the table that has this name now.
    pub async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        let row = client
            .query_one(
                "-- schema::references::is_there
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

    /// Links that lead nowhere go before it is validated, but after no further one can appear. Whoever uses
    /// the table waits for neither.
    async fn make(&self, client: &Client) -> Result<(), Error> {
        let Self { name, column, .. } = self;
        let (table, key) = (self.table.quoted(), quote_identifier(&self.key.name));
        let (tables, what) = ([self.table.oid], self.table.to_string());
        let add = format!(
            "alter table session_reaper.user_session drop constraint if exists {name};
            alter table session_reaper.user_session add constraint {name} foreign key ({column})
                references {table} ({key}) on delete cascade on update cascade not valid"
        );
        patience::execute(client, &tables, &what, &add).await?;
        let validate = format!(
            "delete from session_reaper.user_session l
                where not exists (select from {table} t where t.{key} = l.{column});
            alter table session_reaper.user_session validate constraint {name}"
        );
        patience::execute(client, &tables, &what, &validate).await
    }
}
