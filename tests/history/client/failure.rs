//! Which errors of its statements an app has to reckon with anyway. Any other one is there only because we are.
//!
//! Foreseen are: a connection that goes with the server or is refused by it (no SQLSTATE, class 08, 57P01 to 57P03); a
//! serialization failure (40001) in a transaction that asked for REPEATABLE READ; what the site's own trigger raises
//! when the app itself deletes the session; and a link that the app inserts itself to a user or a session that has gone
//! meanwhile (23503), as any table of the app's with such keys has it. Deadlocks (40P01) are counted apart.

use tokio_postgres::{Error, error::SqlState};

use super::Visitor;

impl Visitor {
    /// The next statement may fail in this way. Holds until the transaction is over.
    pub(super) fn foresee(&mut self, code: &'static str) {
        self.foreseen.push(code);
    }

    /// Takes down that a statement failed, during a transaction or in its commit.
    pub(super) fn note_failure(&mut self, error: &Error, place: &str) {
        let code = error.code().map_or("connection lost", |code| code.code());
        let is_foreseen = self.is_foreseen(error.code());
        let mut books = self.world.ledger.books();
        books.count(&format!("client error{place}: {code}"));
        if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) {
            books.deadlocks += 1;
        } else if !is_foreseen {
            books.failed.push(format!("{place} {code}: {error:?}"));
        }
    }

    fn is_foreseen(&self, code: Option<&SqlState>) -> bool {
        let Some(code) = code.map(SqlState::code) else {
            return self.world.options.servers_end();
        };
        match code {
            "57P01" | "57P02" | "57P03" => self.world.options.servers_end(),
            "40001" => self.repeatable_read,
            _ => code.starts_with("08") || self.foreseen.contains(&code),
        }
    }

    /// Nothing is under way any more.
    pub(super) fn forget_transaction(&mut self) {
        self.foreseen.clear();
        self.repeatable_read = false;
    }
}
