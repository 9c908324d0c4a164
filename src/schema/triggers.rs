//! The triggers on the site's tables. Each is attached in a transaction of its own, and only where it
//! differs from what is there, because that locks a table which every login needs.

use tokio_postgres::{Client, GenericClient};

use super::{
    Column, Error, Site, Table, behaviour,
    patience::{self, LOCK_TRIES},
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
    /// What is done in its place while the site migrates; nothing where it may be missing for so long.
    pub(super) paused: Option<Paused>,
    /// What has to be done in the transaction that attaches it.
    pub(super) once_attached: &'static str,
}

/// A trigger that names no column, so that the site may change the type of any.
pub struct Paused {
    /// `update`, `insert` or `delete`.
    pub(super) event: &'static str,
    pub(super) action: String,
}

/// All that this site needs.
pub fn wanted(site: &Site) -> Vec<Trigger<'_>> {
    // Capital letters sort before PostgreSQL's own "RI_..." triggers, which cascade to the links.
    let own = |name: &str, table, when: String, event, key: &Column| Trigger {
        name: format!("A_session_reaper_{name}"),
        table,
        when: format!("after {when}"),
        action: format!("session_reaper.{name}()"),
        paused: Some(Paused {
            event,
            action: format!("session_reaper.paused_{name}({})", place(key)),
        }),
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
        own(
            "user_deleted",
            &site.users,
            deleted,
            "delete",
            &site.user_key,
        ),
        own(
            "user_renamed",
            &site.users,
            renamed(&site.user_key),
            "update",
            &site.user_key,
        ),
        own(
            "session_renamed",
            &site.sessions,
            renamed(&site.session_key),
            "update",
            &site.session_key,
        ),
    ];
    let reading = site.reading.triggers();
    let reading = reading.into_iter().map(|(name, when, function)| Trigger {
        name: format!("A_session_reaper_{name}"),
        table: &site.sessions,
        when: format!("after {when}"),
        action: format!("session_reaper.{function}()"),
        paused: None,
        // What was written while it was not there, nobody has noted.
        once_attached: "select session_reaper.read_all_again('installed')",
    });
    let deleted = "delete on {table} for each row".to_owned();
    let evicting = site.is_cached.then(|| {
        own(
            "session_deleted",
            &site.sessions,
            deleted,
            "delete",
            &site.session_key,
        )
    });
    let watched = site.watched.iter().map(Watch::trigger);
    watched
        .chain(reading)
        .chain(own_triggers)
        .chain(evicting)
        .collect()
}

/// A column as two arguments of a trigger: its number, by which it is found under another name, and its name, by
/// which it is found when it was dropped and added again.
pub(super) fn place(column: &Column) -> String {
    format!("'{}', {}", column.number, quote_literal(&column.name))
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
        take_off(client, self.oid, &self.table(), &self.name).await
    }

    fn is(&self, trigger: &Trigger<'_>) -> bool {
        let Table { schema, name, .. } = trigger.table;
        (&self.schema, &self.table, &self.name) == (schema, name, &trigger.name)
    }
}

async fn take_off(client: &Client, oid: u32, table: &str, name: &str) -> Result<(), Error> {
    let statement = format!(
        "drop trigger if exists {} on {table}",
        quote_identifier(name)
    );
    patience::execute(client, &[oid], table, &statement).await
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

impl<'a> Trigger<'a> {
    /// The one that takes its place, under its name, while the site migrates.
    pub fn during_pause(&self) -> Option<Trigger<'a>> {
        let paused = self.paused.as_ref()?;
        Some(Trigger {
            name: self.name.clone(),
            table: self.table,
            when: format!("after {} on {{table}} for each row", paused.event),
            action: paused.action.clone(),
            paused: None,
            once_attached: "",
        })
    }

    /// Takes it off.
    pub(super) async fn drop(&self, client: &Client) -> Result<(), Error> {
        take_off(client, self.table.oid, &self.table.quoted(), &self.name).await
    }

    fn definition(&self) -> String {
        format!(
            "create or replace trigger {} {} execute function {}",
            quote_identifier(&self.name),
            self.when.replace("{table}", &self.table.quoted()),
            self.action
        )
    }

    /// Ends the comment on the trigger: which text made it, and what the catalog has made of that. A trigger that
    /// somebody has replaced keeps its comment, but no longer agrees with it.
    fn mark(&self, in_catalog: &str) -> String {
        let digest = |text| behaviour::digest(text)[..12].to_owned();
        let (ours, theirs) = (digest(&self.definition()), digest(in_catalog));
        format!("session-reaper {ours} {theirs}")
    }

    /// Whether it is there, enabled and as this release defines it.
    pub async fn is_attached(&self, client: &impl GenericClient) -> Result<bool, Error> {
        let row = client
            .query_opt(
                "-- schema::triggers::is_attached
                select t.tgenabled in ('O', 'A'), pg_catalog.obj_description(t.oid, 'pg_trigger'),
                    session_reaper.trigger_text(t.oid)
                from pg_catalog.pg_trigger t
                where t.tgrelid = $1 and t.tgname = $2::text",
                &[&self.table.oid, &self.name],
            )
            .await?;
        Ok(row.is_some_and(|row| {
            let (enabled, comment): (bool, Option<String>) = (row.get(0), row.get(1));
            let mark = self.mark(row.get(2));
            enabled && comment.is_some_and(|comment| comment.ends_with(&mark))
        }))
    }

    /// Attaches it unless it is there; says whether it had to. Tries for its lock again and again.
    pub async fn ensure(&self, client: &mut Client) -> Result<bool, Error> {
        if self.is_attached(client).await? {
            return Ok(false);
        }
        for attempt in 0..LOCK_TRIES {
            patience::wait_for_turn(client, &[self.table.oid], attempt).await?;
            match self.attach(client).await {
                Err(Error::Connection(error)) if error.is_lock_timeout() => {}
                result => return result.map(|()| true),
            }
        }
        Err(Error::Busy {
            what: self.table.to_string(),
            tries: LOCK_TRIES,
        })
    }

    /// Attaches it in one transaction, under the caller's lock time-out.
    async fn attach(&self, client: &mut Client) -> Result<(), Error> {
        let (table, name) = (self.table.quoted(), quote_identifier(&self.name));
        let transaction = client.transaction().await?;
        transaction.batch_execute(&self.definition()).await?;
        let row = transaction
            .query_one(
                "-- schema::triggers::attach
                select session_reaper.trigger_text(t.oid)
                from pg_catalog.pg_trigger t
                where t.tgrelid = $1 and t.tgname = $2::text",
                &[&self.table.oid, &self.name],
            )
            .await?;
        let comment = format!(
            "Asks for sessions to end; see function {}. {}",
            self.action,
            self.mark(row.get(0))
        );
        let comment = quote_literal(&comment);
        transaction
            .batch_execute(&format!(
                "alter table {table} enable trigger {name}; comment on trigger {name} on {table} is {comment}"
            ))
            .await?;
        transaction.batch_execute(self.once_attached).await?;
        transaction.commit().await?;
        Ok(())
    }
}
