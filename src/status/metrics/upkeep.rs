//! The cache, which has to forget, and the purge.

use prometheus_client::metrics::MetricType;

use crate::status::{
    Status,
    exposition::{Metric, count, counter, gauge, labelled},
};

pub(super) fn cache(status: &Status) -> Vec<Metric> {
    let cache = &status.cache;
    let waiting = [("first", cache.pending), ("after_grace", cache.in_grace)];
    let mut metrics = vec![
        labelled(
            "pending_evictions",
            MetricType::Gauge,
            "Sessions that the cache still has to forget",
            "round",
            waiting.map(|(round, of)| (round.to_owned(), of)),
        ),
        counter(
            "evicted_sessions",
            "Sessions that the cache has forgotten for good",
            cache.evicted,
        ),
        gauge(
            "cache_failed_attempts",
            "How often it has failed in a row",
            cache.attempts,
        ),
        gauge(
            "revocations_awaiting_cache",
            "Revocations that do not settle before the cache has confirmed",
            cache.revocations,
        ),
        counter(
            "cache_failures",
            "How often the cache has failed to confirm",
            cache.failures,
        ),
    ];
    let times = [
        (
            "cache_failing_since_timestamp_seconds",
            "Since when the cache has failed, since 1970",
            cache.failing_since_s,
        ),
        (
            "cache_confirmed_timestamp_seconds",
            "When the cache confirmed last, since 1970",
            cache.confirmed_at_s,
        ),
    ];
    let known = |(name, help, at): (_, _, Option<f64>)| Some(gauge(name, help, at?));
    metrics.extend(times.into_iter().filter_map(known));
    metrics
}

/// Nothing before the first scheduled purge: a zero would look like one that has just been.
pub(super) fn purge(status: &Status) -> Vec<Metric> {
    let Some(purge) = &status.last_purge else {
        return Vec::new();
    };
    vec![
        gauge(
            "last_purge_timestamp_seconds",
            "When the last scheduled purge ended, since 1970",
            purge.finished_at_s,
        ),
        gauge(
            "last_purge_sessions",
            "Expired sessions that it deleted",
            purge.sessions,
        ),
        gauge(
            "last_purge_duration_seconds",
            "How long it took, pauses included",
            count(purge.duration_ms) / 1000.0,
        ),
    ]
}
