//! How many sessions a user may have, and for how long. Each is off unless it is set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many sessions a user may have, and for how long.
///
/// ```
/// let settings: session_reaper::settings::Settings = toml::from_str(
///     r#"
///     [site]
///     policy_column = "is_staff"
///     [policy]
///     sessions_max = 5
///     sessions_max_where = { true = 1 }
///     "#,
/// )
/// .unwrap();
/// assert_eq!(settings.policy.sessions_max_where["true"], 1);
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// Most sessions per user: beyond that, the oldest end.
    pub sessions_max: Option<u32>,
    /// The same for users with this value in `site.policy_column`.
    pub sessions_max_where: BTreeMap<String, u32>,
    /// How long a session may last from its login, however much it is used, in seconds.
    pub lifetime_s: Option<u64>,
    /// The same for users with this value in `site.policy_column`.
    pub lifetime_where_s: BTreeMap<String, u64>,
    /// How long a session may stay unused, in seconds; only where the store says when it was last used.
    pub idle_s: Option<u64>,
    /// How often the daemon looks for sessions that have become too old, in seconds. New ones are checked once a second.
    pub check_interval_s: u64,
    /// Most links that one transaction looks at; a tenth of that may end in it.
    pub batch_rows: u32,
    /// Pause after each batch, as a multiple of the time that it took.
    pub pause_ratio: f64,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            sessions_max: None,
            sessions_max_where: BTreeMap::new(),
            lifetime_s: None,
            lifetime_where_s: BTreeMap::new(),
            idle_s: None,
            check_interval_s: 60,
            batch_rows: 1000,
            pause_ratio: 4.0,
        }
    }
}

impl Policies {
    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        self.limits_number() || self.youngest_s().is_some()
    }

    /// Whether a login can be one too many.
    pub fn limits_number(&self) -> bool {
        self.sessions_max.is_some() || !self.sessions_max_where.is_empty()
    }

    /// The least age at which a session may end by its time, in seconds.
    pub fn youngest_s(&self) -> Option<u64> {
        let own = self.lifetime_where_s.values().copied();
        own.chain(self.lifetime_s).chain(self.idle_s).min()
    }
}
