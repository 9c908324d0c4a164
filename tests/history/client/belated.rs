//! A login that outlives its server: it verified the password on one that is lost, and goes on where another one has taken
//! its place.

use tokio_postgres::Error;

use super::{Visitor, login::Verified, plan::LoginPlan, transaction::Ending};
use crate::ledger::{Login, Span};

impl Visitor {
    /// A version of one server says nothing on the one that takes its place after commits were lost.
    pub(super) fn note_shown(&mut self, user: i32, verified: Verified, plan: LoginPlan) {
        if plan.versioned && self.world.options.loses() {
            self.shown = Some((user, verified));
        }
    }

    /// Goes on with a login whose connection was lost after it had verified the password. How much the new server knows of
    /// what was read is not known here: the login may end by any change.
    pub(super) async fn log_in_belatedly(
        &mut self,
        user: i32,
        verified: Verified,
    ) -> Result<(), Error> {
        self.pause(800).await;
        let (transaction, key) = (self.world.next_number(), self.new_key());
        let begin = self.begin(false).await?;
        self.insert_session(&key).await?;
        let linked = self.link(&key, user, verified.version.as_deref(), false);
        if linked.await?.is_none() {
            return self.roll_back().await;
        }
        if self.end(transaction, Ending::Commit).await.committed {
            self.note_login(Login {
                key,
                user: Some(user),
                transaction,
                kind: "with a version from before a loss".to_owned(),
                generation: verified.generation,
                versioned: true,
                split: true,
                read: Span {
                    sent: 0,
                    ..verified.span
                },
                begin,
                sight: verified.span,
                known: self.now(),
                first_write: None,
                previous: None,
            });
        }
        Ok(())
    }
}
