//! What few sites have: rows that fail statements, and a user who presses a button again and again.

use tokio_postgres::Error;

use super::{Visitor, transaction::Ending};
use crate::{data::session_data, ledger::Login, poison::GUESTS};

/// In no encoding.
const GARBAGE: &str = "insert into django_session
    values ($1, convert_from('\\xe9ff', 'SQL_ASCII'), now() + interval '14 days')";
const ARCHIVE: &str = "insert into history_archive values ($1, $2, now() + interval '14 days')";

/// How often somebody presses the button in a row.
const PRESSES: usize = 20;
/// How many sessions one transaction opens.
const SESSIONS: usize = 40;

impl Visitor {
    /// A row that fails what touches it. It is nobody's session, and stays.
    pub(super) async fn poison(&mut self, user: i32) -> Result<(), Error> {
        let key = self.new_key();
        match self.rng.u32(0..100) {
            0..50 => {
                self.db.execute(GARBAGE, &[&key]).await?;
                self.note_visit(key, "in no encoding");
            }
            50..80 => {
                let guest = self.rng.i32(GUESTS);
                let salt = Some(self.rng.u64(..));
                self.insert_data(&key, Some(guest), salt).await?;
                self.note_visit(key, "of a user in another table");
            }
            _ => {
                let data = session_data(Some(user), None);
                self.db.execute(ARCHIVE, &[&key, &data]).await?;
                self.world.ledger.books().count("sessions in another table");
            }
        }
        Ok(())
    }

    /// Makes the longest history longer.
    pub(super) async fn pile_up(&mut self) -> Result<(), Error> {
        let Some(user) = self.world.favourite() else {
            return Ok(());
        };
        if self.chance(60) {
            return self.log_in_often(user).await;
        }
        for _ in 0..PRESSES {
            self.revoke_user(user).await?;
        }
        Ok(())
    }

    async fn log_in_often(&mut self, user: i32) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let begin = self.begin(false).await?;
        let Some(verified) = self.verify(user).await? else {
            return self.roll_back().await;
        };
        let mut opened = Vec::new();
        for _ in 0..SESSIONS {
            let key = self.new_key();
            let sight = self.open_unlinked(&key, user).await?;
            opened.push((key, sight));
        }
        if !self.end(transaction, Ending::Commit).await.committed {
            return Ok(());
        }
        for (key, sight) in opened {
            self.note_login(Login {
                key,
                user: Some(user),
                transaction,
                kind: "one of many".to_owned(),
                generation: verified.generation,
                versioned: false,
                split: false,
                read: verified.span,
                begin,
                sight,
                known: self.now(),
                first_write: Some(u64::MAX),
                previous: None,
            });
        }
        Ok(())
    }
}
