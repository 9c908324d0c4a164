//! Our triggers on the site's tables, whether the settings ask for them or not.

use tokio_postgres::Client;

use super::{Trigger, wanted};
use crate::schema::{Error, Site, Table, lock, site::template::quote_identifier};

/// One of our triggers on one of the site's tables, wanted or not.
pub(in crate::schema) struct Attached {
    /// Its table, as a number.
    pub(in crate::schema) oid: u32,
    schema: String,
    table: String,
    name: String,
}

impl Attached {
    /// All that the catalog has. The settings play no part in it, since they may have changed.
    pub(in crate::schema) async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let rows = client
            .query(
                "-- schema::objects::triggers::attached::all
                select n.nspname::text, c.relname::text, t.tgname::text, c.oid
                from pg_catalog.pg_trigger t
                join pg_catalog.pg_proc p on p.oid = t.tgfoid
                join pg_catalog.pg_class c on c.oid = t.tgrelid
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where p.pronamespace = pg_catalog.to_regnamespace('session_reaper')
                  and n.nspname <> 'session_reaper'
                  and t.tgparentid = 0
                order by 1, 2, 3",
                &[],
            )
            .await?;
        let attached = |row: &tokio_postgres::Row| Self {
            oid: row.get(3),
            schema: row.get(0),
            table: row.get(1),
            name: row.get(2),
        };
        Ok(rows.iter().map(attached).collect())
    }

    /// Its table, quoted.
    pub(in crate::schema) fn table(&self) -> String {
        let (schema, table) = (
            quote_identifier(&self.schema),
            quote_identifier(&self.table),
        );
        format!("{schema}.{table}")
    }

    /// What it is, for people.
    pub(in crate::schema) fn describe(&self) -> String {
        format!("trigger    {} on {}", self.name, self.table())
    }

    /// Whether it notes what a cache has to forget.
    pub(in crate::schema) fn evicts(&self) -> bool {
        self.name == "A_session_reaper_session_deleted"
    }

    /// Takes it off.
    pub(in crate::schema) async fn drop(&self, client: &Client) -> Result<(), Error> {
        take_off(client, self.oid, &self.table(), &self.name).await
    }

    fn is(&self, trigger: &Trigger<'_>) -> bool {
        let Table { schema, name, .. } = trigger.table;
        (&self.schema, &self.table, &self.name) == (schema, name, &trigger.name)
    }
}

pub(super) async fn take_off(
    client: &Client,
    oid: u32,
    table: &str,
    name: &str,
) -> Result<(), Error> {
    let statement = format!(
        "drop trigger if exists {} on {table}",
        quote_identifier(name)
    );
    lock::execute(client, &[oid], table, &statement).await
}

/// Takes off our triggers that the settings no longer ask for.
pub async fn detach_others(client: &Client, site: &Site) -> Result<Vec<String>, Error> {
    let wanted = wanted(site);
    let mut detached = Vec::new();
    for attached in Attached::all(client).await? {
        if !wanted.iter().any(|trigger| attached.is(trigger)) {
            attached.drop(client).await?;
            let name = quote_identifier(&attached.name);
            detached.push(format!("{name} on {}", attached.table()));
        }
    }
    Ok(detached)
}
