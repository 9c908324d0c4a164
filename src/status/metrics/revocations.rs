//! Revocations: what is open, what it waits for, and what all of them came to.

use prometheus_client::metrics::MetricType;

use crate::status::{
    Status,
    exposition::{Metric, counter, gauge, histogram, labelled},
};

pub(super) fn open(status: &Status) -> Vec<Metric> {
    let states = [("requested", status.requested), ("revoked", status.revoked)];
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
    let mut metrics = vec![
        labelled(
            "open_revocations",
            MetricType::Gauge,
            "Revocations that are not settled",
            "state",
            states.map(|(state, of)| (state.to_owned(), of)),
        ),
        gauge(
            "failing_revocations",
            "Those that failed and are tried again",
            status.failing,
        ),
        gauge(
            "waited_out_revocations",
            "Those that settled without a transaction that stayed open for too long",
            status.waited_out,
        ),
        labelled(
            "blocking_transactions",
            MetricType::Gauge,
            "Transactions that keep revocations from settling",
            "kind",
            waits,
        ),
    ];
    // Nothing where none is open: a zero would be 1970.
    metrics.extend(status.oldest_open_at_s.map(|at| {
        gauge(
            "oldest_open_revocation_timestamp_seconds",
            "When the oldest open revocation was asked for, since 1970",
            at,
        )
    }));
    metrics
}

/// From the database, so that they go on growing when a daemon restarts, however many daemons there are.
pub(super) fn totals(status: &Status) -> Vec<Metric> {
    let Some(totals) = &status.totals else {
        return Vec::new();
    };
    vec![
        labelled(
            "ended_sessions",
            MetricType::Counter,
            "Sessions that revocations have ended, by reason; other is whatever else a caller gave",
            "reason",
            totals.sessions_ended.clone(),
        ),
        labelled(
            "revocations",
            MetricType::Counter,
            "Revocations that were asked for, by reason",
            "reason",
            totals.revocations.clone(),
        ),
        counter(
            "purged_sessions",
            "Expired sessions that were deleted by purges which came to their end",
            totals.sessions_purged,
        ),
        histogram(
            "gone_seconds",
            "How long after the commit of the change its sessions were gone",
            totals.gone.clone(),
        ),
        histogram(
            "settled_seconds",
            "How long after the commit of the change no older session could come any more",
            totals.settled.clone(),
        ),
    ]
}
