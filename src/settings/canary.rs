//! The canary: the daemon's own revocation now and then, to see whether a real one would work now.

use serde::{Deserialize, Serialize};

use super::{
    Error,
    ranges::{DAY_S, invalid, within},
};

/// The canary.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canary {
    /// How often it runs, in seconds; 0: never.
    pub interval_s: u64,
    /// The key of a site user that exists only for this and that no person logs in as: a session is opened for that user
    /// and ended. Without a user, no session is opened.
    pub user: Option<String>,
    /// How long a run may take until all is settled, in seconds; then it has failed.
    pub timeout_s: u64,
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            interval_s: 0,
            user: None,
            timeout_s: 60,
        }
    }
}

pub(super) fn check(canary: &Canary) -> Result<(), Error> {
    // Each run is a row of the record, kept for purge.retention_d.
    if canary.interval_s > 0 {
        within("canary.interval_s", canary.interval_s, 10..=DAY_S)?;
    }
    within("canary.timeout_s", canary.timeout_s, 1..=DAY_S)?;
    let is_key = |user: &String| !user.is_empty() && !user.contains('\0');
    if canary.user.as_ref().is_none_or(is_key) {
        return Ok(());
    }
    Err(invalid(
        "canary.user",
        "has to be the key of a user; leave it out to have no session opened".to_owned(),
    ))
}
