//! The session that a changing transaction opens itself.

use tokio_postgres::Error;

use super::Visitor;
use crate::ledger::{Login, Micros, Span};

impl Visitor {
    /// Django's PasswordChangeView cycles the session key in the changing transaction.
    pub(super) async fn open_own(
        &mut self,
        user: i32,
        transaction: i64,
        begin: Span,
    ) -> Result<Option<Login>, Error> {
        let key = self.new_key();
        let read = "select substr(password, 5)::bigint from auth_user where id = $1";
        let Some(row) = self.db.query_opt(read, &[&user]).await? else {
            return Ok(None);
        };
        let links = !self.world.reads() || self.chance(50);
        let linked = if links {
            self.insert_session(&key).await?;
            self.link(&key, user, None, false).await?
        } else {
            Some(self.open_unlinked(&key, user).await?)
        };
        let Some(linked) = linked else {
            return Ok(None);
        };
        Ok(Some(Login {
            key,
            user: Some(user),
            transaction,
            kind: "in the changing transaction".to_owned(),
            generation: row.get(0),
            versioned: false,
            split: false,
            read: linked,
            begin,
            // The earliest snapshot that it can have had, under any isolation level.
            sight: Span {
                sent: begin.sent,
                returned: linked.returned,
            },
            known: 0,
            first_write: (!links).then_some(Micros::MAX),
            previous: None,
        }))
    }

    pub(super) async fn open_unlinked(&mut self, key: &str, user: i32) -> Result<Span, Error> {
        let sent = self.now();
        let salt = Some(self.rng.u64(..));
        self.insert_data(key, Some(user), salt).await?;
        let returned = self.now();
        Ok(Span { sent, returned })
    }

    /// It exists, because the transaction has committed.
    pub(super) fn note_opened(&self, opened: Option<Login>) {
        if let Some(login) = opened {
            self.note_login(Login {
                known: self.now(),
                ..login
            });
        }
    }
}
