//! One failure of the driver, reduced to what may be shown and what decides what to do next.

mod advice;
mod driver;

use std::error::Error as _;
use std::fmt;
use std::io;

use tokio_postgres::error::SqlState;

use driver::{is_transient, kind_of, message_of, with_source};

/// What happened, without anything that a row may hold.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
}

/// Failures that are treated alike.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// The server said no.
    Server(SqlState),
    /// Nothing listens there.
    Refused,
    /// The host has no address.
    UnknownHost,
    /// No answer came in time.
    Timeout,
    /// The connection broke.
    Lost,
    /// Every pooled connection was in use.
    Busy,
    /// None of the hosts takes writes.
    ReadOnly,
    /// The certificate or the handshake was not accepted.
    Tls,
    /// Anything else, which waiting does not help.
    Other,
}

impl Failure {
    pub(super) fn timeout() -> Self {
        Self::of(Kind::Timeout, "the server did not answer in time")
    }

    pub(super) fn read_only() -> Self {
        Self::of(Kind::ReadOnly, "the server takes no writes any more")
    }

    pub(super) fn busy() -> Self {
        Self::of(Kind::Busy, "all connections of the pool stayed in use")
    }

    pub(super) fn other(message: &str) -> Self {
        Self::of(Kind::Other, message)
    }

    #[cfg(test)]
    pub(crate) fn lock_timeout() -> Self {
        Self::of(
            Kind::Server(SqlState::LOCK_NOT_AVAILABLE),
            "a lock timed out",
        )
    }

    fn of(kind: Kind, message: &str) -> Self {
        let message = message.to_owned();
        Self { kind, message }
    }

    pub(super) fn is_transient(&self) -> bool {
        match &self.kind {
            Kind::Server(state) => is_transient(state),
            Kind::Tls | Kind::Other => false,
            _ => true,
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        match &self.kind {
            Kind::Server(state) => *state == SqlState::READ_ONLY_SQL_TRANSACTION,
            kind => *kind == Kind::ReadOnly,
        }
    }

    pub(super) fn is_not_there_yet(&self) -> bool {
        match &self.kind {
            Kind::Server(state) => {
                let restarting = [
                    SqlState::ADMIN_SHUTDOWN,
                    SqlState::CRASH_SHUTDOWN,
                    SqlState::CANNOT_CONNECT_NOW,
                    SqlState::TOO_MANY_CONNECTIONS,
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    SqlState::DUPLICATE_PSTATEMENT,
                ];
                restarting.contains(state)
            }
            // A container's proxy accepts before its server does, and then closes: that looks like a loss.
            Kind::Refused | Kind::UnknownHost | Kind::Timeout | Kind::Lost | Kind::ReadOnly => true,
            Kind::Busy | Kind::Tls | Kind::Other => false,
        }
    }

    /// Another session keeps a table locked, as a migration of the site does.
    pub(super) fn is_blocked(&self) -> bool {
        let blocked = [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        self.sqlstate().is_some_and(|state| blocked.contains(state))
    }

    pub(super) fn sqlstate(&self) -> Option<&SqlState> {
        match &self.kind {
            Kind::Server(state) => Some(state),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match advice::on(&self.kind) {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl From<&tokio_postgres::Error> for Failure {
    fn from(error: &tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let kind = Kind::Server(said.code().clone());
            return Self {
                kind,
                message: message_of(said),
            };
        }
        if error.is_closed() {
            return Self::of(Kind::Lost, "the connection was closed");
        }
        let message = with_source(error);
        let cause = error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>());
        let kind = match cause {
            Some(cause) => kind_of(cause),
            None if message.contains("TLS") => Kind::Tls,
            None => Kind::Other,
        };
        Self { kind, message }
    }
}
