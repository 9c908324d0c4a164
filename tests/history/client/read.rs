//! Sessions that nobody links: the user stands in their data, as Django writes it, and the daemon has to read it.

use tokio_postgres::Error;

use super::{Visitor, plan::ReadPlan};
use crate::{
    data::{owner, session_data},
    ledger::{Login, Micros, Span},
    saves::Save,
};

const WRITE: &str = "update django_session set session_data = $2 where session_key = $1";
/// Only while it is still whose it was believed to be: a save that brings a user back is a login of a kind that no site
/// has.
pub(super) const SAVE: &str = "update django_session set session_data = $2
    where session_key = $1 and split_part(session_data, ':', 3) = $3";

impl Visitor {
    /// A login that says so in the session's data and nowhere else.
    pub(super) async fn log_in_unlinked(&mut self, user: i32) -> Result<(), Error> {
        let plan = self.plan_read();
        let transaction = self.world.next_number();
        let key = self.new_key();
        let mut first_write = Micros::MAX;
        if plan.anonymous_first {
            let salt = plan.has_cart.then(|| self.rng.u64(..));
            // Even an empty one is noted to be read, and as long as it is unread its user may have been in it from then.
            first_write = self.now();
            self.insert_data(&key, None, salt).await?;
        }
        let mut begin = Span::default();
        if !plan.split {
            begin = self.begin(plan.repeatable_read).await?;
        }
        let Some(verified) = self.verify(user).await? else {
            return self.leave(plan).await;
        };
        self.hash(plan.slow).await;
        if plan.split && !plan.autocommit {
            begin = self.begin(plan.repeatable_read).await?;
        }
        let written = self.write_user(&key, user, plan).await?;
        if plan.autocommit {
            begin = written;
        }
        if plan.slow && !plan.autocommit {
            self.maybe_pause(60).await;
        }
        let committed = plan.autocommit || self.end(transaction, plan.ending).await.committed;
        if committed {
            let known_before = plan.repeatable_read && !plan.split;
            self.note_login(Login {
                key,
                user: Some(user),
                transaction,
                kind: format!("unlinked, {}", plan.name()),
                generation: verified.generation,
                versioned: false,
                split: plan.split,
                read: verified.span,
                begin,
                sight: if known_before { verified.span } else { written },
                known: self.now(),
                first_write: Some(first_write),
                previous: None,
            });
        }
        Ok(())
    }

    async fn leave(&mut self, plan: ReadPlan) -> Result<(), Error> {
        if plan.split {
            return Ok(());
        }
        self.db.batch_execute("rollback").await
    }

    /// Says when the first statement ran that wrote the user, whose snapshot is the login's under any isolation level.
    async fn write_user(&mut self, key: &str, user: i32, plan: ReadPlan) -> Result<Span, Error> {
        if plan.savepoint_back {
            self.db.batch_execute("savepoint login").await?;
            self.write_user_once(key, user, plan).await?;
            self.db.batch_execute("rollback to login").await?;
        }
        let sent = self.now();
        if plan.savepoint {
            self.db.batch_execute("savepoint login").await?;
        }
        self.write_user_once(key, user, plan).await?;
        let returned = self.now();
        if plan.savepoint {
            self.db.batch_execute("release savepoint login").await?;
        }
        Ok(Span { sent, returned })
    }

    async fn write_user_once(&mut self, key: &str, user: i32, plan: ReadPlan) -> Result<(), Error> {
        let salt = Some(self.rng.u64(..));
        if plan.anonymous_first {
            let data = session_data(Some(user), salt);
            self.db.execute(WRITE, &[&key, &data]).await?;
            return Ok(());
        }
        if plan.inserts_empty {
            self.insert_data(key, None, None).await?;
            let data = session_data(Some(user), salt);
            self.db.execute(WRITE, &[&key, &data]).await?;
            return Ok(());
        }
        self.insert_data(key, Some(user), salt).await
    }

    pub(super) async fn insert_data(
        &mut self,
        key: &str,
        user: Option<i32>,
        salt: Option<u64>,
    ) -> Result<(), Error> {
        let sent = self.now();
        let expires = sent + self.world.options.lifetime();
        let data = session_data(user, salt);
        self.db
            .execute(
                "insert into django_session values ($1, $2, $3)",
                &[&key, &data, &self.world.ledger.wall(expires)],
            )
            .await?;
        let save = Save {
            data,
            expires,
            sent,
            known: Some(sent),
        };
        self.world.ledger.books().saves.add(key, save);
        Ok(())
    }

    /// Saves a session that is still this user's, in a transaction that may be open.
    pub(super) async fn save_data(&mut self, key: &str, user: i32) -> Result<(), Error> {
        let data = session_data(Some(user), Some(self.rng.u64(..)));
        let owner = owner(Some(user));
        self.db.execute(SAVE, &[&key, &data, &owner]).await?;
        Ok(())
    }

    /// A request that began long before it chooses the session it saves.
    pub(super) async fn save_late(&mut self, user: i32) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let begin = self.begin(false).await?;
        self.db.batch_execute("select").await?;
        self.pause(400).await;
        if let Some(key) = self.some_session(Some(user)) {
            self.save_data(&key, user).await?;
            // Noted in any case: a doubt that is none does no harm where nothing was committed.
            self.world.ledger.books().note_write(&key, begin.sent);
        }
        let ending = self.draw_ending(10);
        self.end(transaction, ending).await;
        Ok(())
    }
}
