//! Users who go, users who are asked to log in again.

use tokio_postgres::{Error, types::ToSql};

use super::{
    Visitor,
    transaction::{Ended, Ending},
};
use crate::ledger::{Cause, Change};

impl Visitor {
    pub(super) async fn revoke_user(&mut self, user: i32) -> Result<(), Error> {
        let statement =
            "select pg_current_xact_id()::text, session_reaper.revoke_user($1, 'requested', $2)";
        self.request(statement, &[&user], user, Cause::Requested)
            .await
    }

    /// The switch to throw after a breach; the session to keep is that of whoever throws it.
    pub(super) async fn revoke_all(&mut self, user: i32) -> Result<(), Error> {
        let statement =
            "select pg_current_xact_id()::text, session_reaper.revoke_all('breach', $1)";
        self.request(statement, &[], user, Cause::Everybody).await
    }

    /// Calls a function whose last parameter is a session to keep.
    async fn request(
        &mut self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
        user: i32,
        cause: Cause,
    ) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let keep = if self.chance(30) {
            self.some_session(Some(user))
        } else {
            None
        };
        let begin = self.begin(false).await?;
        let parameters = [parameters, &[&keep]].concat();
        let row = self.db.query_one(statement, &parameters).await?;
        let xid = row.get(0);
        let opened = if self.chance(30) {
            self.open_own(user, transaction, begin).await?
        } else {
            None
        };
        self.maybe_pause(30).await;
        let ending = self.draw_ending(20);
        let ended = self.end(transaction, ending).await;
        if ended.committed {
            self.note_opened(opened);
            let change = Change {
                user: (cause != Cause::Everybody).then_some(user),
                transaction,
                xid,
                kind: cause.reason().to_owned(),
                cause,
                stamp_from: ended.stamp_from,
                publish_sent: ended.publish_sent,
                published: self.now(),
                keep,
            };
            self.world.ledger.books().add_change(change);
        }
        Ok(())
    }

    /// Deletes a user, and lets another one sign up instead. Some deletions are vetoed by a trigger of the
    /// site's, some rolled back.
    pub(super) async fn delete_user(&mut self, user: i32) -> Result<(), Error> {
        if self.world.favourite() == Some(user) {
            return Ok(());
        }
        let transaction = self.world.next_number();
        let vetoed = self.chance(40);
        self.begin(false).await?;
        let veto = if vetoed { "on" } else { "off" };
        self.db
            .execute("select set_config('history.veto', $1, true)", &[&veto])
            .await?;
        let delete = "delete from auth_user where id = $1 returning pg_current_xact_id()::text";
        let deleted = self.db.query_opt(delete, &[&user]).await?;
        assert!(!(vetoed && deleted.is_some()), "the veto failed");
        self.maybe_pause(30).await;
        let ending = if vetoed {
            Ending::Commit
        } else {
            self.draw_ending(50)
        };
        let ended = self.end(transaction, ending).await;
        if vetoed {
            self.world.ledger.books().count("deletions vetoed");
        }
        if let Some(row) = deleted.filter(|_| ended.committed) {
            self.note_deletion(user, transaction, row.get(0), ended);
        }
        if self.world.ledger.books().users.len() < self.world.options.users {
            self.sign_up().await?;
        }
        Ok(())
    }

    fn note_deletion(&self, user: i32, transaction: i64, xid: String, ended: Ended) {
        let change = Change {
            user: Some(user),
            transaction,
            xid,
            kind: "user deleted".to_owned(),
            cause: Cause::Deleted,
            stamp_from: ended.stamp_from,
            publish_sent: ended.publish_sent,
            published: self.now(),
            keep: None,
        };
        let mut books = self.world.ledger.books();
        books.add_change(change);
        books.users.retain(|other| *other != user);
    }

    async fn sign_up(&mut self) -> Result<(), Error> {
        let user = self.world.sign_up(&self.db).await?;
        self.world.ledger.books().users.push(user);
        Ok(())
    }
}
