//! The figures of `status` for Prometheus, for the textfile collector of node_exporter: so the daemon needs no port of its
//! own. No label comes from the site's data: a role or an application is in `status`, where nobody pays for each value for
//! ever.

use super::{
    Status,
    exposition::{Metric, count, counter, gauge, labelled, truth},
};

/// All of them.
pub fn text(status: &Status) -> String {
    let groups = [
        installation(status),
        unread(status),
        revocations(status),
        cache(status),
        purge(status),
    ];
    let mut text = String::new();
    for metric in groups.iter().flatten() {
        metric.write(&mut text);
    }
    text
}

/// What there is to say where nothing could be asked.
pub fn not_served() -> String {
    let mut text = String::new();
    served(false).write(&mut text);
    text
}

fn served(is: bool) -> Metric {
    gauge("served", "Whether a daemon serves the database.", truth(is))
}

fn installation(status: &Status) -> Vec<Metric> {
    vec![
        served(status.served),
        gauge(
            "paused",
            "Whether nothing is ended because the site migrates.",
            truth(status.paused.is_some()),
        ),
        gauge(
            "problems",
            "Triggers, foreign keys and keys that are not as they should be.",
            status.problems.len() as f64,
        ),
        gauge(
            "linked_sessions",
            "Sessions that are linked to a user.",
            count(status.linked_sessions),
        ),
    ]
}

fn unread(status: &Status) -> Vec<Metric> {
    let unread = &status.unread;
    let unreadable = unread
        .unreadable
        .iter()
        .map(|(reason, writes)| (reason.clone(), *writes));
    vec![
        gauge(
            "table_read",
            "Whether every session has been read for its user; until then no revocation settles.",
            truth(unread.table_read),
        ),
        gauge(
            "unread_writes",
            "Writes of sessions that wait to be read, up to 100,000.",
            count(unread.queued),
        ),
        gauge(
            "queue_full",
            "Whether so many wait that no more are noted.",
            truth(unread.queue_full),
        ),
        labelled(
            "unreadable_writes_total",
            "counter",
            "Writes of session data in which no user could be found.",
            "reason",
            unreadable,
        ),
    ]
}

fn revocations(status: &Status) -> Vec<Metric> {
    let open = [("requested", status.requested), ("revoked", status.revoked)];
    let waits = ["open", "prepared"].map(|kind| {
        let transactions = status
            .waits_for
            .iter()
            .filter(|wait| wait.kind == kind)
            .count();
        (
            kind.to_owned(),
            i64::try_from(transactions).unwrap_or(i64::MAX),
        )
    });
    let longest = status
        .waits_for
        .iter()
        .map(|wait| wait.waited_s)
        .fold(0.0, f64::max);
    vec![
        labelled(
            "open_revocations",
            "gauge",
            "Revocations that are not settled.",
            "state",
            open.map(|(state, of)| (state.to_owned(), of)),
        ),
        gauge(
            "oldest_open_revocation_seconds",
            "Age of the oldest of them.",
            status.oldest_open_s.unwrap_or_default(),
        ),
        gauge(
            "failing_revocations",
            "Those that failed and are tried again.",
            count(status.failing),
        ),
        gauge(
            "waited_out_revocations",
            "Those that settled without a transaction that stayed open for too long.",
            count(status.waited_out),
        ),
        labelled(
            "blocking_transactions",
            "gauge",
            "Transactions that keep revocations from settling.",
            "kind",
            waits,
        ),
        gauge(
            "longest_block_seconds",
            "How long revocations have waited for one of these.",
            longest,
        ),
    ]
}

fn cache(status: &Status) -> Vec<Metric> {
    let cache = &status.cache;
    let waiting = [("first", cache.pending), ("after_grace", cache.in_grace)];
    vec![
        labelled(
            "pending_evictions",
            "gauge",
            "Sessions that the cache still has to forget.",
            "round",
            waiting.map(|(round, of)| (round.to_owned(), of)),
        ),
        counter(
            "evicted_sessions_total",
            "Sessions that the cache has forgotten for good.",
            count(cache.evicted),
        ),
        gauge(
            "cache_failing_seconds",
            "For how long the cache has failed; 0 if it answers.",
            cache.failing_s.unwrap_or_default(),
        ),
        gauge(
            "cache_failed_attempts",
            "How often it has failed in a row.",
            count(cache.attempts),
        ),
        gauge(
            "revocations_awaiting_cache",
            "Revocations that do not settle before the cache has confirmed.",
            count(cache.revocations),
        ),
    ]
}

/// Nothing before the first scheduled purge: a zero would look like one that has just been.
fn purge(status: &Status) -> Vec<Metric> {
    let Some(purge) = &status.last_purge else {
        return Vec::new();
    };
    vec![
        gauge(
            "last_purge_age_seconds",
            "How long ago the last scheduled purge ended.",
            purge.ago_s,
        ),
        gauge(
            "last_purge_sessions",
            "Expired sessions that it deleted.",
            count(purge.sessions),
        ),
        gauge(
            "last_purge_duration_seconds",
            "How long it took, pauses included.",
            count(purge.duration_ms) / 1000.0,
        ),
    ]
}
