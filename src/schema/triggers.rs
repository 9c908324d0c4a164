//! The triggers on the site's tables. Each is attached in a transaction of its own, and only where it
//! differs from what is there, because that locks a table which every login needs.

use tokio_postgres::Client;

use super::{
    Column, Error, Site, Table, behaviour, patience,
    template::{quote_identifier, quote_literal},
    watch::Watch,
};

/// A trigger that has to be there.
pub struct Trigger<'a> {
    /// Its name, unquoted.
    pub name: String,
    /// The table that it is on.
    pub table: &'a Table,
    pub(super) when: String,
    pub(super) action: String,
    /// What has to be done in the transaction that attaches it.
    pub(super) once_attached: &'static str,
}

/// All that this site needs.
pub fn wanted(site: &Site) -> Vec<Trigger<'_>> {
    // Capital letters sort before PostgreSQL's own "RI_..." triggers, which cascade to the links.
    let own = |name: &str, table, when: String| Trigger {
        name: format!("A_session_reaper_{name}"),
        table,
        when: format!("after {when}"),
        action: format!("session_reaper.{name}()"),
        once_attached: "",
    };
    let renamed = |column: &Column| {
        let key = quote_identifier(&column.name);
        format!(
            "update of {key} on {{table}} for each row when (old.{key} is distinct from new.{key})"
        )
    };
    let deleted = "delete on {table} for each row".to_owned();
    let own_triggers = [
        own("user_deleted", &site.users, deleted),
        own("user_renamed", &site.users, renamed(&site.user_key)),
        own(
            "session_renamed",
            &site.sessions,
            renamed(&site.session_key),
        ),
    ];
    let reading = site.reading.triggers();
    let reading = reading.into_iter().map(|(name, when, function)| Trigger {
        action: format!("session_reaper.{function}()"),
        // What was written before it was there, nobody has noted.
        once_attached: "select session_reaper.read_all_again('installed')",
        ..own(name, &site.sessions, when)
    });
    let watched = site.watched.iter().map(Watch::trigger);
    watched.chain(reading).chain(own_triggers).collect()
}

/// A trigger of ours on a table of the site, wanted or not.
pub(super) struct Attached {
    /// Its table, as a number.
    pub(super) oid: u32,
    schema: String,
    table: String,
    name: String,
}

impl Attached {
    /// All that the catalog has. What the settings say has no part in it, since they may have changed.
    pub(super) async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let rows = client
            .query(
                "-- schema::triggers::all
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
    pub(super) fn table(&self) -> String {
        let (schema, table) = (
            quote_identifier(&self.schema),
            quote_identifier(&self.table),
        );
        format!("{schema}.{table}")
    }

    /// Takes it off.
    pub(super) async fn drop(&self, client: &Client) -> Result<(), Error> {
        let (name, table) = (quote_identifier(&self.name), self.table());
        let statement = format!("drop trigger if exists {name} on {table}");
        patience::execute(client, &[self.oid], &table, &statement).await
    }

    fn is(&self, trigger: &Trigger<'_>) -> bool {
        let Table { schema, name, .. } = trigger.table;
        (&self.schema, &self.table, &self.name) == (schema, name, &trigger.name)
    }
}

/// Takes off the triggers of ours that the settings ask for no more.
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

impl Trigger<'_> {
    fn definition(&self) -> String {
        format!(
            "create or replace trigger {} {} execute function {}",
            quote_identifier(&self.name),
            self.when.replace("{table}", &self.table.quoted()),
            self.action
        )
    }

    /// Ends the comment on the trigger, and tells on a look whether it is the one that is wanted.
    fn mark(&self) -> String {
        let digest = behaviour::digest(&self.definition());
        format!("session-reaper {}", &digest[..12])
    }

    /// Whether it is there, enabled and as this release defines it.
    pub async fn is_attached(&self, client: &Client) -> Result<bool, Error> {
        let row = client
            .query_opt(
                "-- schema::triggers::is_attached
                select t.tgenabled in ('O', 'A'), pg_catalog.obj_description(t.oid, 'pg_trigger')
                from pg_catalog.pg_trigger t
                where t.tgrelid = $1 and t.tgname = $2::text",
                &[&self.table.oid, &self.name],
            )
            .await?;
        Ok(row.is_some_and(|row| {
            let comment: Option<String> = row.get(1);
            row.get(0) && comment.is_some_and(|comment| comment.ends_with(&self.mark()))
        }))
    }

    /// Attaches it in one transaction, under the caller's lock time-out.
    pub async fn attach(&self, client: &mut Client) -> Result<(), Error> {
        let comment = format!(
            "Asks for sessions to end; see function {}. {}",
            self.action,
            self.mark()
        );
        let transaction = client.transaction().await?;
        transaction.batch_execute(&self.definition()).await?;
        transaction
            .batch_execute(&format!(
                "alter table {table} enable trigger {name}; comment on trigger {name} on {table} is {comment}",
                table = self.table.quoted(),
                name = quote_identifier(&self.name),
                comment = quote_literal(&comment),
            ))
            .await?;
        transaction.batch_execute(self.once_attached).await?;
        transaction.commit().await?;
        Ok(())
    }
}
