//! What goes wrong between the daemon and its database, told in one sentence.

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use super::failure::Failure;

/// Why the database could not be asked, or did not do what it was asked.
///
/// The driver's own error is not kept, not even as a source: its text includes the server's DETAIL, which
/// quotes rows and with them session keys (P7).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the settings say about the database makes no sense; the text is a sentence.
    #[error("{0}")]
    Settings(String),
    /// A connection could not be opened.
    #[error("cannot connect to {target}: {failure}")]
    Connect {
        /// The database, as [`Target::describe`](super::Target::describe) writes it.
        target: String,
        /// What happened.
        failure: Failure,
    },
    /// The pool could not hand out a connection.
    #[error("no connection to the database can be had: {0}")]
    Pool(Failure),
    /// A statement failed, or its connection was lost.
    #[error("a statement failed on the database: {0}")]
    Query(Failure),
    /// A database that a restore has begun to fill. Anything written there would be in its way, and rows that it has not
    /// brought yet would be taken for gone.
    #[error(
        "what is installed in the database is not complete, as while a dump is being restored; nothing is done there until it is"
    )]
    NotWhole,
    /// The listening connection was closed by the other side.
    #[error("the listening connection was closed")]
    Closed,
    /// The listening connection did not answer.
    #[error("the listening connection did not answer within a heartbeat; it may be half-open")]
    HeartbeatLost,
    /// The same, found out by a command that needs a session of its own.
    #[error(
        "{target} is reached through a pooler in transaction mode, such as pgbouncer, where locks and settings of a session do not hold: connect to PostgreSQL itself, or through a pool in session mode"
    )]
    Pooler {
        /// The database, as [`Target::describe`](super::Target::describe) writes it.
        target: String,
    },
    /// The listening connection answers, but what is notified goes elsewhere.
    #[error(
        "notifications do not arrive although the connection is well: a pooler in transaction mode, such as pgbouncer, may stand in between; connect to PostgreSQL itself, or through a pool in session mode"
    )]
    NotDelivered,
}

/// Whether a statement failed with this because another session held a lock that it needed.
pub fn is_lost_lock(state: &SqlState) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(state)
}

impl Error {
    /// Whether the same may work later or on another connection without any change by an operator.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotWhole | Self::Closed | Self::HeartbeatLost => true,
            _ => self.failure().is_some_and(Failure::is_transient),
        }
    }

    /// Whether another session's lock was in the way for longer than `lock_timeout`.
    pub fn is_lock_timeout(&self) -> bool {
        self.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// The same, or a deadlock of which we were the victim: worth another try, from the beginning.
    pub fn is_lost_lock(&self) -> bool {
        self.sqlstate().is_some_and(is_lost_lock)
    }

    /// Whether it was too much for `statement_timeout`, or for the site's `transaction_timeout`.
    pub fn is_out_of_time(&self) -> bool {
        let state = self.sqlstate();
        state == Some(&SqlState::QUERY_CANCELED)
            || state.is_some_and(|state| state.code() == "25P04")
    }

    /// Whether the server takes no writes: it was demoted, or it is a standby. Every connection to it has to
    /// be dropped then, because the driver looks for the primary only when it connects.
    pub fn is_read_only(&self) -> bool {
        self.failure().is_some_and(Failure::is_read_only)
    }

    /// Whether the connection knows a statement whose result the schema has changed since: a new connection works.
    pub fn is_outdated(&self) -> bool {
        self.sqlstate() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
    }

    /// Whether the database may only not have started yet, or is not complete yet, so that waiting makes sense.
    pub fn is_not_there_yet(&self) -> bool {
        matches!(self, Self::NotWhole) || self.failure().is_some_and(Failure::is_not_there_yet)
    }

    /// Whether another session's lock was in the way, so that the same works once it is gone.
    pub fn is_blocked(&self) -> bool {
        self.failure().is_some_and(Failure::is_blocked)
    }

    /// A statement was sent, and nothing came back.
    pub fn unanswered() -> Self {
        Self::Query(Failure::timeout())
    }

    /// The server answers, but takes no writes.
    pub fn read_only() -> Self {
        Self::Query(Failure::read_only())
    }

    /// The server's code, if it was the server that refused.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        self.failure().and_then(Failure::sqlstate)
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Settings(_)
            | Self::NotWhole
            | Self::Closed
            | Self::HeartbeatLost
            | Self::Pooler { .. }
            | Self::NotDelivered => None,
            Self::Connect { failure, .. } | Self::Pool(failure) | Self::Query(failure) => {
                Some(failure)
            }
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Query(Failure::from(&error))
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        if matches!(error, PoolError::PostCreateHook(HookError::Message(_))) {
            return Self::NotWhole;
        }
        Self::Pool(match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Failure::from(&error)
            }
            PoolError::Timeout(TimeoutType::Wait) => Failure::busy(),
            PoolError::Timeout(_) => Failure::timeout(),
            PoolError::Closed => Failure::other("the pool is closed"),
            PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Failure::other("the pool is not set up")
            }
        })
    }
}

#[cfg(test)]
mod tests;
