//! What can be wrong with a site or with what is installed in it.

use super::unusable::Unusable;
use crate::connection;

/// A sentence for the operator: what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the sentence that it displays")]
pub enum Error {
    #[error(transparent)]
    Site(#[from] Unusable),
    #[error(
        "session_reaper was installed with another expiry than the settings name now: run `session-reaper migrate`"
    )]
    OtherExpiry,
    #[error(
        "row security hides rows of {table} from this role, so it could not see which sessions to end: connect as a role with bypassrls, or as the owner without \"force row level security\""
    )]
    RowSecurity { table: String },
    #[error("PostgreSQL {found} is too old: session-reaper needs 14 or newer")]
    OldServer { found: String },
    #[error(
        "this server is read-only (a standby, or default_transaction_read_only is on): connect to the primary, for instance with target_session_attrs=read-write"
    )]
    ReadOnly,
    #[error(
        "session_replication_role is {role} on this connection, so that the triggers and foreign keys of what it deletes do not fire: reset it with alter role or alter database"
    )]
    ReplicationRole { role: String },
    #[error(
        "{role} may not create roles: have one that may, which is a superuser or has CREATEROLE, run the following, and then this again without --create-role: {statement}"
    )]
    MayNotCreateRole { role: String, statement: String },
    #[error("session-reaper is not installed in this database: run `session-reaper migrate`")]
    NotInstalled,
    #[error(
        "the schema session_reaper is at version {found}, this release needs {needed}: run `session-reaper migrate`"
    )]
    TooOld { found: i32, needed: i32 },
    #[error(
        "the schema session_reaper is at version {found}, which is newer than this release knows ({known}): install the newer release of session-reaper"
    )]
    TooNew { found: i32, known: i32 },
    #[error(
        "session_reaper in this database looks after {installed}, and these settings name other tables or columns: one database is one site. If that is another site, leave it alone, since without its triggers no session of its users ends, and give this one a database of its own. If it is this site, set [site] back, or run `session-reaper uninstall` and `session-reaper migrate`"
    )]
    OtherSite { installed: String },
    #[error(
        "the installation knows of a cache, and these settings name none, so that it would not be evicted from any more: give the settings of the service (--config FILE or SESSION_REAPER_CONFIG), or say kind = \"none\" under [cache]"
    )]
    ForgetsCache,
    #[error(
        "the installation gave rights to {role}, and these settings name no site.daemon_role, so that its daemon would lose them: give the settings of the service (--config FILE or SESSION_REAPER_CONFIG), or name the role that the daemon connects as from now on"
    )]
    ForgetsRole { role: String },
    #[error(
        "the installation lets {role} link sessions, and these settings name no site.app_roles, so that the app could log nobody in any more: give the settings of the service (--config FILE or SESSION_REAPER_CONFIG), or name the roles; if none shall link any more, first say: revoke execute on function session_reaper.link_session from {role}"
    )]
    ForgetsApp { role: String },
    #[error("the function session_reaper.{name} is missing: run `session-reaper migrate`")]
    NoFunction { name: String },
    #[error(
        "{role}, as which the functions in session_reaper run, may not use the schema {schema}, so that they can end no session: grant usage on schema {quoted} to {role}"
    )]
    NoUsage {
        role: String,
        schema: String,
        quoted: String,
    },
    #[error(
        "{role}, as which the functions in session_reaper run, lacks rights on {table}, so that they can end no session: grant {rights} on {quoted} to {role}, or give it back to its owner"
    )]
    NoRight {
        role: String,
        rights: String,
        table: String,
        quoted: String,
    },
    #[error(
        "row security hides rows of {table} from {role}, as which the functions in session_reaper run, so that they can end no session: alter role {role} bypassrls, or let it own the table without \"force row level security\""
    )]
    HiddenRows { role: String, table: String },
    #[error(
        "{role} lacks rights on {first} and {others} more: name it as site.daemon_role, and run `session-reaper migrate` as the owner"
    )]
    DaemonRight {
        role: String,
        first: String,
        others: usize,
    },
    #[error(
        "{name} is set for {for_whom}, so that it counts in every transaction and not in the one that it was meant for: passwords that are changed under it may end nothing, or spare a session; take it back with alter role or alter database ... reset {name}"
    )]
    OwnSetting { name: String, for_whom: String },
    #[error(
        "the trigger {name} on {table} is missing, disabled or not ours: run `session-reaper migrate`"
    )]
    NoTrigger { name: String, table: String },
    #[error(
        "the trigger {name} on {table} was off for a while, as under pg_restore --disable-triggers: sessions that were written meanwhile may be linked to nobody, and no revocation settles: run `session-reaper resume`, which has all of them read"
    )]
    ReadingWasOff { name: String, table: String },
    #[error(
        "the trigger {name} on {table} was off for a while, as under pg_restore --disable-triggers: what changed there meanwhile has ended no session: run `session-reaper resume`, and `session-reaper revoke --all` if a password may have changed"
    )]
    TriggerWasOff { name: String, table: String },
    #[error(
        "session_reaper is paused since {since} by {by} for a migration of the site's: when that is done, run `session-reaper resume`"
    )]
    Paused { since: String, by: String },
    #[error(
        "{table}.{column} is of type {is} now, and our keys are still {ours}: run `session-reaper resume`, which changes them"
    )]
    KeyType {
        table: String,
        column: String,
        is: String,
        ours: String,
    },
    #[error(
        "the key of {table} went from {ours} to {is}, which is another kind of key, so links and revocations cannot be carried over: run `session-reaper uninstall` and `session-reaper migrate`, and `session-reaper revoke --all` if a password may have changed meanwhile"
    )]
    NoCast {
        table: String,
        is: String,
        ours: String,
    },
    #[error(
        "sessions wait to be evicted from the cache whose keys are longer than the session table's can be now: a daemon that runs since before the pause evicts them. Without one, clear the cache, `delete from session_reaper.pending_eviction`, and run `session-reaper resume` again"
    )]
    OutgrownEvictions,
    #[error(
        "the role {role} does not own {what}: run this as {owner}, or as a role that is a member of it"
    )]
    NotOwner {
        role: String,
        what: String,
        owner: String,
    },
    #[error(
        "{setting} names the role {role}, which does not exist: create it first, or give the name that it has"
    )]
    NoRole { setting: &'static str, role: String },
    #[error(
        "the role {role} may not create the schema session_reaper: let it, with: grant create on database {database} to {role}"
    )]
    NoCreate { role: String, database: String },
    #[error(
        "session_reaper.user_session does not refer to {table}, which seems to have been created anew: run `session-reaper migrate`"
    )]
    NoReference { table: String },
    #[error(
        "could not lock {what} because other transactions held it whenever it was tried for: try again when the site is quieter, or look for a long transaction in pg_stat_activity"
    )]
    Busy { what: String },
    #[error(
        "{holder} the lock under which the schema session_reaper is changed, and did not let go for {waited_s} s: if it is no migrate, pause, resume or uninstall at work, end it with pg_terminate_backend"
    )]
    Turn { holder: String, waited_s: u64 },
    #[error("a migration could not be applied: {message}")]
    Migration { message: String },
    #[error(transparent)]
    Connection(#[from] connection::Error),
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Connection(error.into())
    }
}

impl crate::worker::passing::MayPass for Error {
    fn is_lock_timeout(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Connection(error) => error.is_lock_timeout(),
            _ => false,
        }
    }
}
