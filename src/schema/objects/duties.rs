//! The rights that a daemon needs on our objects, and nothing beyond: its role may be stolen. Rights that only a
//! setting needs come with that setting. Functions that run as their owner delete sessions and write links; they know
//! when that is right.

use crate::schema::site::template::quote_identifier;
use crate::settings::{self, Cached};

/// Tables and views, and what the daemon's own statements do there.
const TABLES: [(&str, &str); 23] = [
    ("backfill", "select"),
    ("behaviour", "select"),
    ("canary", "select"),
    ("change", "select, update, delete"),
    ("change_trail", "select"),
    ("clock_step", "select"),
    ("eviction", "select"),
    ("horizon", "select, insert, update, delete"),
    ("live_session", "select"),
    ("missed", "select, delete"),
    ("page", "select"),
    ("pause", "select"),
    ("paused_request", "select"),
    ("pending_eviction", "select"),
    ("pending_link", "select"),
    ("purge", "select, update"),
    ("revocation", "select, update, delete"),
    ("revocation_trail", "select"),
    ("schema_history", "select"),
    ("tally", "select"),
    ("trouble", "select, insert, update, delete"),
    ("unreadable", "select"),
    ("user_session", "select"),
];

/// Functions that are called by every daemon and by the commands that are run as its role.
const ALWAYS: [&str; 43] = [
    "adopt_ids",
    "at_most",
    "awaiting_eviction",
    "canary_ask",
    "canary_begin",
    "canary_look",
    "canary_off",
    "claim_due",
    "count_unreadable",
    "end_grace",
    "enforce_policy",
    "enrol",
    "explain_policy",
    "explain_sessions",
    "find_user",
    "forget_steps",
    "heed_step_back",
    "is_paused",
    "is_queue_full",
    "is_served",
    "latency",
    "latest_time",
    "mark_revoked",
    "purge_expired",
    "reason_of_ours",
    "revoke_all",
    "revoke_claimed",
    "revoke_due",
    "revoke_user",
    "seconds_after",
    "serving_daemons",
    "stamp_changes",
    "sweep",
    "sweep_everyone",
    "sweep_free",
    "tell_revoked",
    "totals",
    "trigger_text",
    "unfinished",
    "unset_times_ahead",
    "who_is_over_policy",
    "why_open",
    "with_sessions",
];

/// Where the daemon reads sessions for their users.
const READS: [&str; 10] = [
    "claim_page",
    "empty_queue",
    "finish_page",
    "is_any_link_pending",
    "page",
    "backfill_again",
    "take_contested",
    "take_pending_links",
    "try_link_page",
    "try_link_pending",
];

/// Where a cache answers for the session table, and where the cache is itself a table.
const EVICTS: [&str; 5] = [
    "confirm_evictions",
    "eviction_failed",
    "exchanged_encoding",
    "take_evictions",
    "text_of",
];
const EVICTS_FROM_TABLE: [&str; 1] = ["evict_from_table"];

/// Where it compares the hashes in sessions.
const VERIFIES: [&str; 3] = ["end_stale", "take_unverified", "unverified"];

/// What a daemon with these settings needs.
pub(super) struct Duties {
    pub(super) tables: Vec<(&'static str, &'static str)>,
    pub(super) functions: Vec<&'static str>,
}

impl Duties {
    pub(super) fn of(settings: &settings::Site) -> Self {
        let mut tables = TABLES.to_vec();
        // The revocation knows whose keys these are; the daemon does not look at the keys themselves.
        tables.push(("revoked_key", "delete"));
        let mut functions = ALWAYS.to_vec();
        if settings.user_column.is_some() || settings.data_column.is_some() {
            functions.extend(READS);
        }
        if matches!(settings.cached, Cached::Outside | Cached::InTable(_)) {
            functions.extend(EVICTS);
        }
        if matches!(settings.cached, Cached::InTable(_)) {
            functions.extend(EVICTS_FROM_TABLE);
        }
        if settings.verifies {
            tables.push(("hash_key", "insert"));
            functions.extend(VERIFIES);
        }
        Self { tables, functions }
    }

    /// Gives them to a role.
    pub(super) fn grant_to(&self, role: &str) -> String {
        let role = quote_identifier(role);
        let tables = self
            .tables
            .iter()
            .map(|(table, rights)| format!("grant {rights} on session_reaper.{table} to {role}; "));
        let functions = self.functions.iter().map(|function| {
            format!("grant execute on function session_reaper.{function} to {role}; ")
        });
        tables
            .chain(functions)
            .chain([
                format!("grant usage on schema session_reaper to {role}; "),
                // A purge takes its turn by locking a row, which needs the right to update some column.
                format!("grant update (applied_at) on session_reaper.behaviour to {role}; "),
                format!("grant select (revocation_id, ended, grace_over) on session_reaper.revoked_key to {role}; "),
            ])
            .collect()
    }
}
