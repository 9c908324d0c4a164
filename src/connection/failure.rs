//! One failure of the driver, reduced to what may be shown and what decides what to do next.

use std::error::Error as _;
use std::fmt;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

use super::advice;

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

// What stands behind a value that could not be converted may quote it (P7).
fn with_source(error: &tokio_postgres::Error) -> String {
    let text = error.to_string();
    let is_about_a_value = text.contains("serializing");
    match error.source() {
        Some(source) if !is_about_a_value => format!("{text}: {source}"),
        _ => text,
    }
}

// In class 22 the server quotes the value that it could not read, and the value may be a session key (P7).
fn message_of(said: &DbError) -> String {
    match said.message().split_once(": \"") {
        Some((reason, _)) if said.code().code().starts_with("22") => reason.to_owned(),
        _ => said.message().to_owned(),
    }
}

fn kind_of(error: &io::Error) -> Kind {
    let text = error.to_string();
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
    {
        return Kind::Tls;
    }
    match error.kind() {
        // A socket that does not exist is a server that does not run.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Kind::Refused,
        io::ErrorKind::TimedOut => Kind::Timeout,
        // The driver's words when target_session_attrs=read-write finds a standby.
        io::ErrorKind::PermissionDenied if text == "database does not allow writes" => {
            Kind::ReadOnly
        }
        // The resolver's failures have no kind of their own.
        _ if text.starts_with("failed to lookup address") || text.contains("not resolve") => {
            Kind::UnknownHost
        }
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidData => Kind::Other,
        _ => Kind::Lost,
    }
}

fn is_transient(state: &SqlState) -> bool {
    let codes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::QUERY_CANCELED,
        SqlState::LOCK_NOT_AVAILABLE,
        // After a failover, another connection leads to the new primary.
        SqlState::READ_ONLY_SQL_TRANSACTION,
        // A pooler in transaction mode has sent two messages of one statement to two servers.
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    // 08 is a lost connection, 53 a server out of connections, memory or disk.
    let class = state.code().get(..2).unwrap_or_default();
    codes.contains(state) || ["08", "53"].contains(&class)
}
