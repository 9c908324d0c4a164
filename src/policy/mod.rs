//! How many sessions a user may have, and for how long: ends what is beyond that, by revocations that `history` shows.
//!
//! The rules are settings, and are checked against the links in the database (`sql/policy.sql`), in pieces with rests
//! in between.

pub mod enforcer;
pub mod over;
mod walk;

use crate::settings::Policies;

/// The rules as the database takes them.
pub fn rules(policy: &Policies) -> String {
    serde_json::json!({
        "sessions_max": policy.sessions_max,
        "sessions_max_where": policy.sessions_max_where,
        "lifetime_s": policy.lifetime_s,
        "lifetime_where_s": policy.lifetime_where_s,
        "idle_s": policy.idle_s,
    })
    .to_string()
}
