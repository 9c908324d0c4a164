//! What a change is to the clients: who asked for what, and when it can have taken effect.

use crate::ledger::Micros;

/// What a committed change asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// From this password generation to the next one.
    Password(i64),
    /// The account was switched off.
    Deactivated,
    /// The secret of a second factor is another one.
    FactorChanged,
    /// A second factor is gone.
    FactorRemoved,
    /// `revoke_user()`.
    Requested,
    /// `revoke_all()`.
    Everybody,
    /// The user is gone.
    Deleted,
}

impl Cause {
    /// As the record of revocations has it, and as `site.toml` asks for it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::Deactivated => "deactivated",
            Self::FactorChanged => "factor changed",
            Self::FactorRemoved => "factor removed",
            Self::Requested => "requested",
            Self::Everybody => "breach",
            Self::Deleted => "deleted",
        }
    }
}

/// A change that has committed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Everybody, if it is nobody's alone.
    pub user: Option<i32>,
    pub transaction: i64,
    /// The server's number of it.
    pub xid: String,
    pub kind: String,
    pub cause: Cause,
    /// The statement that ends the transaction's work was sent: COMMIT, or PREPARE TRANSACTION.
    pub stamp_from: Micros,
    /// The statement that makes it visible was sent: COMMIT, or COMMIT PREPARED.
    pub publish_sent: Micros,
    /// It was known to be visible.
    pub published: Micros,
    pub keep: Option<String>,
}
