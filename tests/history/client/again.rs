//! Keys that are somebody's again: stores that keep a browser's key write the next login under it, right after the
//! session that had it was ended.

use std::time::Duration;

use tokio_postgres::Error;

use super::{Visitor, transaction::Ending, write::Write};
use crate::{
    data::session_data,
    ledger::{Login, Micros, Span},
};

const INSERT: &str = "insert into django_session values ($1, $2, now() + interval '14 days')
    on conflict do nothing";

impl Visitor {
    /// Ends a user's sessions, and logs somebody in under the key of one of them: another user, or the same one with the
    /// new password. That is a session of its own, which nothing from before may end.
    pub(super) async fn log_in_again(&mut self, from: i32) -> Result<(), Error> {
        let Some(key) = self.take_key(from) else {
            return Ok(());
        };
        let written = self.log_in_under(&key, from).await;
        self.world.ledger.books().in_flux.remove(&key);
        written
    }

    /// A key that nobody else does anything special with.
    fn take_key(&mut self, from: i32) -> Option<String> {
        let key = self.some_session(Some(from))?;
        let mut books = self.world.ledger.books();
        let is_special = books.removed.contains(&key) || books.written_back.contains_key(&key);
        if is_special || !books.in_flux.insert(key.clone()) {
            return None;
        }
        books.cache.exempt(&key);
        Some(key)
    }

    async fn log_in_under(&mut self, key: &str, from: i32) -> Result<(), Error> {
        self.change_one(Write::Password, from).await?;
        for _ in 0..200 {
            if self.session_is_gone(key).await? {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.maybe_pause(self.world.options.grace_s * 900 + 1).await;
        let to = if self.chance(30) {
            Some(from)
        } else {
            self.world.some_user(&mut self.rng)
        };
        let Some(to) = to else {
            return Ok(());
        };
        self.write_again(key, to).await
    }

    async fn write_again(&mut self, key: &str, to: i32) -> Result<(), Error> {
        let links = !self.world.reads() || self.chance(50);
        let transaction = self.world.next_number();
        let begin = self.begin(false).await?;
        let Some(verified) = self.verify(to).await? else {
            return self.roll_back().await;
        };
        let sent = self.now();
        let data = session_data(Some(to), Some(self.rng.u64(..)));
        if self.db.execute(INSERT, &[&key, &data]).await? == 0 {
            // It has not been ended yet, or somebody was faster.
            return self.roll_back().await;
        }
        let mut sight = Span {
            sent,
            returned: self.now(),
        };
        if links {
            let inserts = self.chance(50);
            match self.link(key, to, None, inserts).await? {
                Some(linked) => sight = linked,
                None => return self.roll_back().await,
            }
        }
        self.maybe_pause(40).await;
        if !self.end(transaction, Ending::Commit).await.committed {
            return Ok(());
        }
        let known = self.now();
        let mut books = self.world.ledger.books();
        let Some(before) = books.login(key) else {
            return Ok(());
        };
        // What was written under the key before may not have been read yet, up to a save that was on its way when the
        // session ended.
        let first_write = before
            .first_write
            .unwrap_or(Micros::MAX)
            .min(before.begin.sent);
        let login = Login {
            key: key.to_owned(),
            user: Some(to),
            transaction,
            kind: if before.user == Some(to) {
                "again under the same key"
            } else {
                "under another's key"
            }
            .to_owned(),
            generation: verified.generation,
            versioned: false,
            split: false,
            read: verified.span,
            begin,
            sight,
            known,
            first_write: (!links).then_some(first_write),
            previous: None,
        };
        books.count("sessions under a key that had just ended");
        books.reused.insert(key.to_owned());
        books.add_login(login);
        Ok(())
    }
}
