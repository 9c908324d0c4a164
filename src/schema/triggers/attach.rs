//! Attaching a trigger where it differs from what is there.

use tokio_postgres::{Client, GenericClient};

use super::{
    super::{
        Error, behaviour,
        patience::{self, LOCK_TRIES},
        template::{quote_identifier, quote_literal},
    },
    Trigger,
    attached::take_off,
};

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
    pub(in crate::schema) async fn drop(&self, client: &Client) -> Result<(), Error> {
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
