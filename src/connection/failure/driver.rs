//! What the driver's errors mean: which kind they are, and what may be shown of them.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

use super::Kind;

// The source of an error about a value that could not be converted may quote the value (P7).
pub(super) fn with_source(error: &tokio_postgres::Error) -> String {
    let text = error.to_string();
    let is_about_a_value = text.contains("serializing");
    match error.source() {
        Some(source) if !is_about_a_value => format!("{text}: {source}"),
        _ => text,
    }
}

// In class 22 the server quotes the value that it could not read, and the value may be a session key (P7). It does so in
// the language and with the quotes that lc_messages asks for.
pub(super) fn message_of(said: &DbError) -> String {
    let message = said.message();
    if is_raised(said) {
        return "a trigger or a function of the site raised an error; its text is not shown here, because it may quote a key".to_owned();
    }
    if !said.code().code().starts_with("22") {
        return message.to_owned();
    }
    let quote = message.find([
        '"', '\u{ab}', '\u{bb}', '\u{201c}', '\u{201d}', '\u{201e}', '\u{300c}',
    ]);
    let reason = quote.map_or(message, |quote| &message[..quote]);
    reason.trim_end_matches([' ', ':', '\u{a0}']).to_owned()
}

// A text that the site's own RAISE or ASSERT has put together may quote anything of the row (P7), under any SQLSTATE.
fn is_raised(said: &DbError) -> bool {
    let innermost = said.where_().and_then(|context| context.lines().next());
    said.code().code().starts_with("P0")
        || innermost.is_some_and(|line| line.ends_with(" RAISE") || line.ends_with(" ASSERT"))
}

pub(super) fn kind_of(error: &io::Error) -> Kind {
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

pub(super) fn is_transient(state: &SqlState) -> bool {
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
        // The site's own transaction_timeout; the driver does not know its name yet.
        SqlState::from_code("25P04"),
    ];
    // 08 is a lost connection, 53 a server out of connections, memory or disk.
    let class = state.code().get(..2).unwrap_or_default();
    codes.contains(state) || ["08", "53"].contains(&class)
}
