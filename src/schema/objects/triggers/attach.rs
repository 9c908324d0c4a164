//! Attaches a trigger where it differs from the existing one.

use tokio_postgres::{Client, GenericClient};

use super::{Trigger, attached::take_off};
use crate::schema::{
    Error,
    lock::{self, LOCK_TRIES},
    objects::functions,
    site::template::{quote_identifier, quote_literal},
};

/// The state of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It exists, and fires.
    Attached,
    /// It was off for a while, and has not seen what was written meanwhile.
    WasOff,
    /// It does not exist, is off, or is not ours.
    Missing,
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
            reads: false,
        })
    }

    /// Takes it off.
    pub(in crate::schema) async fn drop(&self, client: &Client) -> Result<(), Error> {
        take_off(client, self.table.oid, &self.table.quoted(), &self.name).await
    }

    /// What makes it.
    pub(in crate::schema) fn definition(&self) -> String {
        format!(
            "create or replace trigger {} {} execute function {}",
            quote_identifier(&self.name),
            self.when.replace("{table}", &self.table.quoted()),
            self.action
        )
    }

    /// The end of the comment on the trigger: which text made it, and what the catalog has made of that. A trigger that
    /// was replaced keeps its comment, but no longer agrees with it.
    fn mark(&self, in_catalog: &str) -> String {
        let digest = |text| functions::digest(text)[..12].to_owned();
        let (ours, theirs) = (digest(&self.definition()), digest(in_catalog));
        format!("session-reaper {ours} {theirs}")
    }

    /// Whether it exists, is on, and is as this release defines it.
    pub async fn is_attached(&self, client: &impl GenericClient) -> Result<bool, Error> {
        Ok(self.state(client).await? == State::Attached)
    }

    /// Its state. It is attached as one that always fires, for rows that arrive by replication as well. A program that
    /// switches all triggers of a table off and on again, such as `pg_restore --disable-triggers`, leaves an ordinary
    /// trigger, which shows that it was off for a while.
    pub async fn state(&self, client: &impl GenericClient) -> Result<State, Error> {
        let row = client
            .query_opt(
                "-- schema::objects::triggers::attach::state
                select 'D' = any (e.states), 'A' = all (e.states), pg_catalog.obj_description(t.oid, 'pg_trigger'),
                    session_reaper.trigger_text(t.oid)
                from pg_catalog.pg_trigger t
                cross join lateral (
                    -- With those of its partitions.
                    select array(
                        select c.tgenabled::text
                        from pg_catalog.pg_partition_tree(t.tgrelid) p
                        join pg_catalog.pg_trigger c on c.tgrelid = p.relid and c.tgname = t.tgname
                        union all
                        select t.tgenabled::text) as states
                ) e
                where t.tgrelid = $1 and t.tgname = $2::text",
                &[&self.table.oid, &self.name],
            )
            .await?;
        let Some(row) = row else {
            return Ok(State::Missing);
        };
        let (is_off, fires, comment): (bool, bool, Option<String>) =
            (row.get(0), row.get(1), row.get(2));
        let mark = self.mark(row.get(3));
        let is_ours = comment.is_some_and(|text| text.ends_with(&mark));
        Ok(match (is_ours && !is_off, fires) {
            (false, _) => State::Missing,
            (true, true) => State::Attached,
            (true, false) => State::WasOff,
        })
    }

    /// Attaches it unless it is attached already; returns whether it had to. Tries for its lock again and again.
    pub async fn ensure(&self, client: &mut Client) -> Result<bool, Error> {
        if self.is_attached(client).await? {
            return Ok(false);
        }
        for attempt in 0..LOCK_TRIES {
            lock::wait_for_turn(client, &[self.table.oid], attempt).await?;
            match self.attach(client).await {
                Err(Error::Connection(error)) if error.is_lost_lock() => {}
                result => return result.map(|()| true),
            }
        }
        Err(Error::Busy {
            what: self.table.to_string(),
        })
    }

    /// Attaches it in one transaction, under the caller's lock time-out.
    async fn attach(&self, client: &mut Client) -> Result<(), Error> {
        let (table, name) = (self.table.quoted(), quote_identifier(&self.name));
        let transaction = client.transaction().await?;
        transaction.batch_execute(&self.definition()).await?;
        let row = transaction
            .query_one(
                "-- schema::objects::triggers::attach::attach
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
                "alter table {table} enable always trigger {name}; comment on trigger {name} on {table} is {comment}"
            ))
            .await?;
        if self.reads {
            // What was written while it was missing has not been noted.
            transaction
                .batch_execute("select session_reaper.backfill_again('installed')")
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
