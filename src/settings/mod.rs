//! What an operator may set: a file, `SESSION_REAPER_*` variables on top of it, below both what the preset knows of the
//! store, and at the bottom the defaults.
//!
//! Every setting has its unit in its name and a default that suits a Django site, so that a connection
//! string alone is enough. An unknown name is refused with the nearest known one: a misspelt limit that
//! silently falls back to its default is worse than a daemon that does not start.

mod cache;
mod cache_key;
mod cache_rules;
mod canary;
mod credential;
mod database;
mod environment;
mod error;
mod file;
mod findings;
mod metrics;
mod origin;
mod policies;
mod policy_rules;
mod presets;
mod ranges;
mod rules;
#[cfg(test)]
mod sample;
mod secret_keys;
mod sections;
mod serde_message;
mod site;
mod site_rules;
mod variables;

use serde::{Deserialize, Serialize};

pub use cache::{Cache, CacheKind};
pub use cache_key::Names;
pub use canary::Canary;
pub use credential::DATABASE_URL;
pub use database::Database;
pub use environment::Environment;
pub use error::Error;
pub use file::load;
pub use findings::FINDINGS;
pub use metrics::{ListenOn, Metrics};
pub use origin::{Origin, Stated, stated};
pub use policies::Policies;
pub use presets::{cached_by, uncached_by};
pub use secret_keys::secret_keys;
pub use sections::{Doctor, Link, Listen, Log, LogFormat, Purge, Revoke};
pub use site::{Cached, EpochUnit, Event, Policy, Site, Watched};

/// All settings, by section.
///
/// ```
/// use session_reaper::settings::{Environment, load};
///
/// let environment = Environment::from([("SESSION_REAPER_SITE_USER_TABLE", "accounts_user")]);
/// let settings = load(None, &environment)?;
/// assert_eq!(settings.site.user_table, "accounts_user");
/// assert_eq!(settings.site.session_table, "django_session");
/// # Ok::<(), session_reaper::settings::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How to reach the database.
    pub database: Database,
    /// The site's tables.
    pub site: Site,
    /// How changes are noticed.
    pub listen: Listen,
    /// How sessions are linked to their users.
    pub link: Link,
    /// How sessions are ended.
    pub revoke: Revoke,
    /// The cache in front of the session table; none where the settings name none.
    pub cache: Option<Cache>,
    /// How expired sessions are deleted.
    pub purge: Purge,
    /// Where figures, health and a page are served.
    pub metrics: Metrics,
    /// How many sessions a user may have, and for how long.
    pub policy: Policies,
    /// The daemon's own revocation now and then, to see whether a real one would work now.
    pub canary: Canary,
    /// What is logged.
    pub log: Log,
    /// What `doctor` reports.
    pub doctor: Doctor,
}
