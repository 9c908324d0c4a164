//! What goes wrong between the daemon and the cache, told in one sentence.

use std::io;

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

/// Why nothing counts as evicted.
///
/// Neither a client's own error nor the server's words are kept, not even as a source: both may quote keys and
/// passwords (P7). What is reported is one of a closed set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the settings say about the cache makes no sense; the text is a sentence.
    #[error("{0}")]
    Settings(String),
    /// A file of passwords is another user's.
    #[error("cannot take the cache's password from {file}: {reason}; correct its permissions")]
    NotReadable {
        /// The file.
        file: String,
        /// What the operating system said.
        reason: io::Error,
    },
    /// A server did not confirm.
    #[error("the cache on {server} confirms no eviction: {failure}")]
    Server {
        /// Host and port, or the path of a socket.
        server: String,
        /// What happened.
        failure: Failure,
    },
}

/// What happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there.
    #[error("nothing listens there; check that it runs, and cache.servers")]
    Refused,
    /// The host has no address, or there is no way to it.
    #[error("it cannot be reached; check cache.servers and the network on the way to it")]
    Unreachable,
    /// No answer came in time.
    #[error(
        "it did not answer in time; check the network on the way to it and whether TLS is spoken there, or raise cache.timeout_s"
    )]
    Timeout,
    /// The connection broke.
    #[error(
        "the connection was lost; if that goes on, check what listens there and whether TLS is spoken"
    )]
    Lost,
    /// The certificate or the handshake was not accepted; the reason is that of the TLS library.
    #[error("TLS failed ({0}); check cache.ca_file against the server's certificate")]
    Tls(String),
    /// The password was not accepted.
    #[error("it does not accept user and password; check {0}")]
    Password(&'static str),
    /// The server asks for a password, and none is set.
    #[error("it asks for a password; set {0}")]
    NoPassword(&'static str),
    /// The user is not allowed to do it.
    #[error(
        "the user lacks a right; it needs ~ for the keys, +unlink, +select for another database than 0, +set and \
         +wait for cache.min_replicas, +cluster|slots and +asking in a cluster"
    )]
    NotAllowed,
    /// There are fewer databases.
    #[error("it has no database with the number in cache.servers")]
    NoDatabase,
    /// A replica was asked.
    #[error("it is a replica; name the master in cache.servers, or let Sentinel find it")]
    ReadOnly,
    /// A node of a cluster was taken for a standalone server.
    #[error("it belongs to a cluster; set cache.kind = \"redis_cluster\"")]
    IsCluster,
    /// A standalone server was taken for a node of a cluster.
    #[error("it belongs to no cluster; set cache.kind = \"redis\"")]
    IsNoCluster,
    /// Some slots have no server, or move too fast.
    #[error("the cluster does not serve every slot at the moment; it is tried again")]
    ClusterDown,
    /// Sentinel knows no master under this name.
    #[error("Sentinel knows no master under the name in cache.sentinel_master")]
    NoMaster,
    /// It is busy with itself.
    #[error(
        "it is not ready for writes (loading, full, unable to save, or without its replicas); see its log"
    )]
    NotReady,
    /// Too few replicas have taken the eviction over.
    #[error(
        "{taken} of {needed} replicas have taken it over; bring the others back, or lower cache.min_replicas"
    )]
    NotReplicated {
        /// How many have.
        taken: i64,
        /// How many must.
        needed: u32,
    },
    /// It answers something else.
    #[error("it refuses the command; check its kind and its version")]
    Refuses,
}

impl Error {
    pub(super) fn at(server: &impl std::fmt::Display) -> impl FnOnce(Failure) -> Self {
        move |failure| Self::Server {
            server: server.to_string(),
            failure,
        }
    }

    /// Whether an idle connection may only have been closed in the meantime.
    pub(super) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Server {
                failure: Failure::Lost,
                ..
            }
        )
    }
}

impl Failure {
    /// What the operating system says, by kind; its text has nothing to add.
    pub(super) fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        // rustls hides its errors in those of the operating system.
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::of_tls(tls);
        }
        match error.kind() {
            Kind::ConnectionRefused | Kind::NotFound => Self::Refused,
            Kind::TimedOut => Self::Timeout,
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof => Self::Lost,
            _ => Self::Unreachable,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        Self::Tls(match error {
            rustls::Error::InvalidCertificate(reason) => format!("{reason}"),
            rustls::Error::AlertReceived(alert) => format!("the server says {alert:?}"),
            _ => "it is not what speaks there".to_owned(),
        })
    }

    /// What the client says, by kind.
    pub(super) fn of_redis(error: &RedisError, password: &'static str) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Password(password),
            ErrorKind::Io | ErrorKind::Parse => Self::Lost,
            ErrorKind::Server(kind) => Self::of_kind(kind),
            _ => Self::of_code(error.code().unwrap_or_default(), password),
        }
    }

    /// What one reply of a pipeline says, by kind.
    pub(super) fn of_reply(error: &ServerError, password: &'static str) -> Self {
        match error.kind() {
            Some(kind) => Self::of_kind(kind),
            None => Self::of_code(error.code(), password),
        }
    }

    fn of_kind(kind: ServerErrorKind) -> Self {
        match kind {
            ServerErrorKind::NoPerm => Self::NotAllowed,
            ServerErrorKind::ReadOnly => Self::ReadOnly,
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => {
                Self::IsCluster
            }
            ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain => Self::ClusterDown,
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown => Self::NotReady,
            _ => Self::Refuses,
        }
    }

    fn of_code(code: &str, password: &'static str) -> Self {
        match code {
            // In its protected mode, it accepts no client from elsewhere without one.
            "NOAUTH" | "DENIED" => Self::NoPassword(password),
            "WRONGPASS" => Self::Password(password),
            "MISCONF" | "NOREPLICAS" | "OOM" | "BUSY" | "UNBLOCKED" => Self::NotReady,
            _ => Self::Refuses,
        }
    }
}
