//! What to do about a failure: the end of its sentence.

use tokio_postgres::error::SqlState;

use super::Kind;

/// The advice for the common failures; the rare ones are left to the server's own words.
pub(super) fn on(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Server(state) => on_state(state),
        Kind::Refused => Some("check that PostgreSQL runs and listens there"),
        Kind::UnknownHost => Some("check the name of the host"),
        Kind::Timeout => Some(
            "check the network and the firewall on the way to it, or raise database.connect_timeout_s",
        ),
        Kind::Busy => Some("raise database.pool_size"),
        Kind::ReadOnly => Some("name every host of the cluster, so that the primary is among them"),
        Kind::Tls => Some("check sslmode and sslrootcert against the server's certificate"),
        Kind::Lost | Kind::Other => None,
    }
}

fn on_state(state: &SqlState) -> Option<&'static str> {
    const POOLER: &str =
        "a pooler in transaction mode stands in between, so connect to PostgreSQL itself";
    const ADVICE: [(SqlState, &str); 11] = [
        (
            SqlState::INVALID_PASSWORD,
            "check the user and the password",
        ),
        (
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "check that the role exists and that pg_hba.conf lets it in from here",
        ),
        (
            SqlState::INVALID_CATALOG_NAME,
            "create the database or correct its name",
        ),
        (
            SqlState::INSUFFICIENT_PRIVILEGE,
            "connect as the role that owns the tables, or as the one that it named in site.daemon_role when it ran `session-reaper migrate`",
        ),
        (
            SqlState::UNDEFINED_TABLE,
            "check the [site] settings and run `session-reaper migrate`",
        ),
        (
            SqlState::READ_ONLY_SQL_TRANSACTION,
            "connect to the primary",
        ),
        (
            SqlState::TOO_MANY_CONNECTIONS,
            "raise max_connections on the server or lower database.pool_size",
        ),
        (
            SqlState::CANNOT_CONNECT_NOW,
            "wait until the server has started",
        ),
        (
            SqlState::LOCK_NOT_AVAILABLE,
            "somebody else holds the lock, so try again",
        ),
        (SqlState::INVALID_SQL_STATEMENT_NAME, POOLER),
        (SqlState::DUPLICATE_PSTATEMENT, POOLER),
    ];
    ADVICE
        .iter()
        .find(|(known, _)| known == state)
        .map(|(_, advice)| *advice)
}
