//! The site's tables, and what on them ends sessions.

use serde::{Deserialize, Serialize};

use crate::codec::Codec;

/// The site's tables. Names without a schema are looked up in `search_path`. What is left out comes from the preset, so
/// a section that is read by itself, without [`load`](super::load), has only what it names. Changes need
/// `session-reaper migrate` and a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What is known of the store: the names below, and what else it needs.
    #[serde(default)]
    pub preset: String,
    /// Table of users.
    #[serde(default)]
    pub user_table: String,
    /// Column that identifies a user; left out: the primary key.
    pub user_key: Option<String>,
    /// Columns of the user table that people know a user by: commands that find no user by the key look here, too.
    #[serde(default)]
    pub login_columns: Vec<String>,
    /// Column whose change ends the user's sessions; left out where `watch` names what does.
    pub password_column: Option<String>,
    /// Column of the user table by which `[policy]` tells users apart, such as `is_staff`.
    pub policy_column: Option<String>,
    /// Which columns end a user's sessions, and how. Left out: the password, and on a user table that has `is_active`,
    /// its change to false.
    pub watch: Option<Vec<Watched>>,
    /// Table of sessions.
    #[serde(default)]
    pub session_table: String,
    /// Column that identifies a session.
    #[serde(default)]
    pub session_key: String,
    /// Column of the session table that names the user who is logged in.
    pub user_column: Option<String>,
    /// Column of the session table that holds what the app keeps in a session, including the user.
    pub data_column: Option<String>,
    /// The keys that lead to the user in a `data_column` of type json or jsonb, outermost first.
    pub user_path: Option<Vec<String>>,
    /// The format of a `data_column` that SQL cannot read.
    #[serde(skip_serializing)]
    pub codec: Option<Codec>,
    /// Column that says when a session expires; left out: sessions live until they are ended.
    pub expires_column: Option<String>,
    /// The zone in which the app writes a timestamp without time zone.
    pub time_zone: Option<String>,
    /// What a number in `expires_column` counts.
    pub expires_unit: Option<EpochUnit>,
    /// How long after the time in `expires_column` a session expires, in seconds; left out: at that time.
    pub lifetime_s: Option<u64>,
    /// Column that says when a session was last used, where that is not `expires_column`. `time_zone` and
    /// `expires_unit` apply to it, too.
    pub used_column: Option<String>,
    /// How often the daemon checks that its triggers, foreign keys and key types are as they should be, in seconds.
    #[serde(default = "a_minute")]
    pub check_interval_s: u64,
    /// Size in MiB at which the queue of sessions that are still to be read takes nothing more. Without a daemon for days
    /// it would fill the disk; past this size, all sessions are read anew when the daemon is back.
    #[serde(default = "a_gigabyte")]
    pub queue_mb: u32,
    /// Role that the daemon connects as, if it is not the one that migrates: `migrate` grants it what it needs.
    pub daemon_role: Option<String>,
    /// Roles that the app connects as and that link sessions: `migrate` allows them to.
    #[serde(default)]
    pub app_roles: Vec<String>,
    /// Whether `link.secret_key_file` is set: only then is a daemon granted what comparing hashes needs.
    #[serde(skip)]
    pub verifies: bool,
    /// What the section `[cache]` means to the database.
    #[serde(skip)]
    pub cached: Cached,
    /// `canary.user`: the user with whom the canary's functions work, so that no caller can name another one.
    #[serde(skip)]
    pub canary_user: Option<String>,
}

/// Where a cache answers for the session table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cached {
    /// The settings do not mention a cache.
    #[default]
    Unsaid,
    /// Nowhere, or where no other process can reach it.
    No,
    /// Outside the database.
    Outside,
    /// In this table.
    InTable(String),
}

fn a_minute() -> u64 {
    60
}

fn a_gigabyte() -> u32 {
    1024
}

/// What a number that represents a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochUnit {
    /// Seconds since 1970.
    EpochS,
    /// Milliseconds since 1970.
    EpochMs,
}

/// A column whose change ends the user's sessions.
///
/// ```
/// let settings: session_reaper::settings::Settings = toml::from_str(
///     r#"
///     [[site.watch]]
///     column = "password"
///
///     [[site.watch]]
///     table = "mfa_device"
///     column = "secret"
///     user_column = "user_id"
///     on = "delete"
///     "#,
/// )
/// .unwrap();
/// assert_eq!(settings.site.watch.unwrap().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Table; left out: the user table.
    pub table: Option<String>,
    /// Column of that table that holds the user's key; left out: that of the user table's key.
    pub user_column: Option<String>,
    /// The column.
    pub column: String,
    /// Only a change to this value counts; left out: every change.
    pub becomes: Option<String>,
    /// What happens to the row.
    #[serde(default)]
    pub on: Event,
    /// Which sessions end.
    #[serde(default)]
    pub policy: Policy,
    /// Goes into the record of revocations; left out: the column's name.
    pub reason: Option<String>,
}

/// What happens to a row that is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The column changes.
    #[default]
    Update,
    /// A row appears: a second factor is added.
    Insert,
    /// A row goes: a second factor is removed.
    Delete,
}

/// Which sessions of the user end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All that are older, except the one that the app asked to keep and those of the changing transaction.
    #[default]
    Others,
    /// All that are older, including these.
    All,
    /// None: the column is not watched.
    None,
}
