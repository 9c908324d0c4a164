//! The trigger that watches a column: each column that ends sessions has one.

use super::{Paused, Trigger, place};
use crate::{
    schema::{
        objects::functions,
        site::{
            template::{quote_identifier, quote_literal},
            watch::Watch,
        },
    },
    settings::Event,
};

impl Watch {
    /// The trigger that watches it. It compares, because Django's save() writes every column.
    pub(in crate::schema) fn trigger(&self) -> Trigger<'_> {
        let (event, row) = match self.event {
            Event::Update => ("update", "new"),
            Event::Insert => ("insert", "new"),
            Event::Delete => ("delete", "old"),
        };
        Trigger {
            name: format!("session_reaper_{event}_{}", self.label()),
            table: &self.table,
            when: format!(
                "after {event} on {{table}} for each row{}",
                self.condition(row)
            ),
            action: self.action(),
            paused: Some(Paused {
                event,
                action: self.paused_action(),
            }),
            reads: false,
        }
    }

    /// The same without a condition, which would name columns: the function compares.
    fn paused_action(&self) -> String {
        let mut arguments = vec![
            quote_literal(&self.reason),
            quote_literal(self.policy),
            place(&self.user_column),
            place(&self.column),
        ];
        arguments.extend(self.becomes.as_deref().map(quote_literal));
        format!("session_reaper.paused_change({})", arguments.join(", "))
    }

    fn action(&self) -> String {
        let (reason, policy) = (quote_literal(&self.reason), quote_literal(self.policy));
        if self.names_its_own_user {
            return format!("session_reaper.credential_changed({reason}, {policy})");
        }
        let user_column = place(&self.user_column);
        format!("session_reaper.factor_changed({reason}, {policy}, {user_column})")
    }

    /// Tells the triggers of one table apart, within the 63 bytes that PostgreSQL gives a name.
    fn label(&self) -> String {
        let column = &self.column.name;
        match &self.becomes {
            None if column.len() <= 30 => column.clone(),
            becomes => functions::digest(&format!("{column} {becomes:?}"))[..12].to_owned(),
        }
    }

    fn condition(&self, row: &str) -> String {
        let column = quote_identifier(&self.column.name);
        let mut conditions = Vec::new();
        if self.event == Event::Update {
            conditions.push(format!("old.{column} is distinct from new.{column}"));
        }
        if let Some(value) = &self.becomes {
            conditions.push(format!("{row}.{column} = {}", quote_literal(value)));
        }
        if conditions.is_empty() {
            String::new()
        } else {
            format!(" when ({})", conditions.join(" and "))
        }
    }
}
