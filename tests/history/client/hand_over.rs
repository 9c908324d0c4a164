//! Sessions that change hands and keep their keys: another user logs in, or nobody is logged in any more.

use tokio_postgres::Error;

use super::{Visitor, read::SAVE};
use crate::{
    data::{owner, session_data},
    ledger::{Login, Span},
};

impl Visitor {
    /// A session that becomes another user's, or nobody's, and keeps its key.
    pub(super) async fn hand_over(&mut self, from: i32, to: Option<i32>) -> Result<(), Error> {
        let Some(key) = self.some_session(Some(from)) else {
            return Ok(());
        };
        let previous = {
            let mut books = self.world.ledger.books();
            let is_read = books
                .login(&key)
                .is_some_and(|login| login.first_write.is_some());
            // Nobody's row under a key that has just been ended is a write-back, as far as anybody can tell within the grace.
            let looks_written_back = to.is_none() && books.reused.contains(&key);
            if !is_read
                || looks_written_back
                || books.removed.contains(&key)
                || !books.in_flux.insert(key.clone())
            {
                return Ok(());
            }
            // What is cached of it may be whose it was, and no app of those that cache does this.
            books.cache.exempt(&key);
            books.by_key[&key]
        };
        let handed = self.write_hand_over(&key, from, to, previous).await;
        self.world.ledger.books().in_flux.remove(&key);
        handed
    }

    async fn write_hand_over(
        &mut self,
        key: &str,
        from: i32,
        to: Option<i32>,
        previous: usize,
    ) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let repeatable_read = self.chance(15);
        let begin = self.begin(repeatable_read).await?;
        let mut verified = None;
        if let Some(to) = to {
            let Some(shown) = self.verify(to).await? else {
                return self.roll_back().await;
            };
            self.hash(true).await;
            verified = Some(shown);
        }
        let salt = Some(self.rng.u64(..)).filter(|_| to.is_some() || self.chance(50));
        let sent = self.now();
        let written = self
            .db
            .execute(SAVE, &[&key, &session_data(to, salt), &owner(Some(from))])
            .await?;
        let mut sight = Span {
            sent,
            returned: self.now(),
        };
        if written == 0 {
            return self.roll_back().await;
        }
        self.maybe_pause(60).await;
        let ending = self.draw_ending(10);
        if !self.end(transaction, ending).await.committed {
            return Ok(());
        }
        if let Some(verified) = verified.as_ref().filter(|_| repeatable_read) {
            sight = verified.span;
        }
        let known = self.now();
        let kind = if to.is_some() {
            "handed over"
        } else {
            "logged out, its row kept"
        };
        let mut books = self.world.ledger.books();
        books.forget_recent(key, from);
        let before = &books.logins[previous];
        let first_write = before.first_write.map(|other| other.min(before.begin.sent));
        books.add_login(Login {
            key: key.to_owned(),
            user: to,
            transaction,
            kind: kind.to_owned(),
            generation: verified.as_ref().map_or(0, |verified| verified.generation),
            versioned: false,
            split: false,
            read: verified.map_or(begin, |verified| verified.span),
            begin,
            sight,
            known,
            first_write,
            previous: Some(previous),
        });
        Ok(())
    }
}
