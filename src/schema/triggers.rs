//! The triggers on the site's tables. Each is attached in a transaction of its own, and only where it
//! differs from what is there, because that locks a table which every login needs.

use tokio_postgres::Client;

use super::{
    Error, Site, Table, behaviour,
    template::{quote_identifier, quote_literal},
};

/// A trigger that has to be there.
pub struct Trigger<'a> {
    /// Its name, unquoted.
    pub name: &'static str,
    /// The table that it is on.
    pub table: &'a Table,
    when: String,
    action: &'static str,
}

/// All that this site needs.
pub fn wanted(site: &Site) -> Vec<Trigger<'_>> {
    let password = quote_identifier(&site.password.name);
    vec![
        Trigger {
            name: "session_reaper_password",
            table: &site.users,
            when: format!(
                "after update on {{table}} for each row when (old.{password} is distinct from new.{password})"
            ),
            action: "session_reaper.credential_changed('password', 'others')",
        },
        Trigger {
            // Capital letters sort before PostgreSQL's own "RI_..." triggers, which cascade the links away.
            name: "A_session_reaper_user_deleted",
            table: &site.users,
            when: "after delete on {table} for each row".to_owned(),
            action: "session_reaper.user_deleted()",
        },
    ]
}

impl Trigger<'_> {
    fn definition(&self) -> String {
        format!(
            "create or replace trigger {} {} execute function {}",
            quote_identifier(self.name),
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
                name = quote_identifier(self.name),
                comment = quote_literal(&comment),
            ))
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes it off.
    pub async fn detach(&self, client: &Client) -> Result<(), Error> {
        client
            .batch_execute(&format!(
                "drop trigger if exists {} on {}",
                quote_identifier(self.name),
                self.table.quoted()
            ))
            .await?;
        Ok(())
    }
}
