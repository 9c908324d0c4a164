//! The site's tables, and what on them ends sessions.

use serde::Deserialize;

/// The site's tables. The defaults are Django's; names without a schema are looked up in `search_path`.
/// Changes need `session-reaper migrate` and a restart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// Table of users.
    pub user_table: String,
    /// Column that identifies a user; left out: the primary key.
    pub user_key: Option<String>,
    /// Column whose change ends the user's sessions.
    pub password_column: String,
    /// Which columns end a user's sessions, and how. Left out: the password, and on a user table that has
    /// `is_active` that it becomes false.
    pub watch: Option<Vec<Watched>>,
    /// Table of sessions.
    pub session_table: String,
    /// Column that identifies a session.
    pub session_key: String,
    /// Column that says when a session expires (timestamp with time zone).
    pub expires_column: String,
    /// Size at which the queue of sessions that are still to be read takes nothing more, in MiB. Without a daemon for days
    /// it would fill the disk; past this size, all sessions are read anew when the daemon is back.
    pub queue_mb: u32,
    /// Role that the daemon connects as, if it is not the one that migrates: `migrate` grants it what it needs.
    pub daemon_role: Option<String>,
    /// Roles that the app connects as and that link sessions: `migrate` lets them.
    pub app_roles: Vec<String>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            user_table: "auth_user".to_owned(),
            user_key: None,
            password_column: "password".to_owned(),
            watch: None,
            session_table: "django_session".to_owned(),
            session_key: "session_key".to_owned(),
            expires_column: "expire_date".to_owned(),
            queue_mb: 1024,
            daemon_role: None,
            app_roles: Vec::new(),
        }
    }
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All that are older, but for the one that the app asked to keep and those of the changing transaction.
    #[default]
    Others,
    /// All that are older, and these, too.
    All,
    /// None: the column is not watched.
    None,
}
