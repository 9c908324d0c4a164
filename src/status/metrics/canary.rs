//! The canary.

use prometheus_client::metrics::MetricType;

use crate::status::{
    Canary,
    exposition::{Metric, counter, gauge, labelled},
};

/// Nothing where it is off: its last result would grow old and look like a failure.
pub(super) fn figures(canary: &Canary) -> Vec<Metric> {
    if !canary.has_run() {
        return Vec::new();
    }
    let stages = [("gone", canary.gone_s), ("settled", canary.settled_s)];
    let known = |(stage, seconds): (&str, Option<f64>)| Some((stage.to_owned(), seconds?));
    let mut metrics = vec![
        labelled(
            "canary_seconds",
            MetricType::Gauge,
            "How long after its change the canary's session was gone, and all was settled, when it last succeeded",
            "stage",
            stages.into_iter().filter_map(known),
        ),
        counter(
            "canary_failures",
            "How many runs of the canary have failed since it was switched on",
            canary.failures,
        ),
        gauge(
            "canary_failing",
            "Whether its last run has failed",
            canary.failed_stage.is_some(),
        ),
    ];
    // A zero would be 1970.
    metrics.extend(canary.succeeded_at_s.map(|at| {
        gauge(
            "canary_timestamp_seconds",
            "When a run last succeeded, since 1970",
            at,
        )
    }));
    metrics
}
