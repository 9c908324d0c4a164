//! The figures of `status` for Prometheus: for the daemon's own listener, and for the textfile collector of node_exporter,
//! which needs none. No label comes from the site's data: a role or an application is in `status`, which does not pay for
//! each value for ever.

mod canary;
mod revocations;
mod upkeep;

use prometheus_client::{metrics::MetricType, registry::Registry};

use super::{
    Status,
    exposition::{self, Figures, Metric, gauge, labelled},
};

/// All of them, for `status --metrics`.
pub fn text(status: &Status) -> String {
    let mut registry = exposition::registry();
    register(&mut registry, status);
    exposition::text(&registry)
}

/// Puts all of them into a registry, beside what else it holds.
pub fn register(registry: &mut Registry, status: &Status) {
    let groups = [
        installation(status),
        linking(status),
        revocations::open(status),
        upkeep::cache(status),
        upkeep::purge(status),
        revocations::totals(status),
        canary::figures(&status.canary),
    ];
    let figures = groups.into_iter().flatten().collect();
    registry.register_collector(Box::new(Figures(figures)));
}

/// What can be reported where the rest could not be read.
pub fn text_without_figures(is_served: bool) -> String {
    let mut registry = exposition::registry();
    register_without_figures(&mut registry, Some(is_served));
    exposition::text(&registry)
}

/// The same for a registry, beside what else it holds; what is unknown is left out.
pub fn register_without_figures(registry: &mut Registry, is_served: Option<bool>) {
    let figures = [unknown(1)].into_iter().chain(is_served.map(served));
    registry.register_collector(Box::new(Figures(figures.collect())));
}

fn unknown(parts: usize) -> Metric {
    gauge(
        "unknown",
        "How much of this could not be looked at: what is left out here",
        parts,
    )
}

fn served(is: bool) -> Metric {
    gauge("served", "Whether a daemon serves the database", is)
}

fn installation(status: &Status) -> Vec<Metric> {
    let mut metrics = vec![
        labelled(
            "build_info",
            MetricType::Gauge,
            "Always 1: which release these figures come from",
            "version",
            [(env!("CARGO_PKG_VERSION").to_owned(), 1_i64)],
        ),
        served(status.served),
        unknown(status.unknown.len()),
        failing_workers(status),
        gauge(
            "paused",
            "Whether nothing is ended because the site migrates",
            status.paused.is_some(),
        ),
        gauge(
            "linked_sessions",
            "Sessions that are linked to a user",
            status.linked_sessions,
        ),
    ];
    // A zero would silence an alarm although nothing has been looked at.
    if status.unknown.is_empty() || !status.problems.is_empty() {
        metrics.push(gauge(
            "problems",
            "What is not as it should be, and keeps sessions from ending or may: triggers, foreign keys, keys, rights, and work that fails",
            status.problems.len(),
        ));
    }
    metrics
}

fn failing_workers(status: &Status) -> Metric {
    let mut failing = std::collections::BTreeMap::<String, i64>::new();
    for worker in &status.failing_workers {
        *failing.entry(worker.worker.clone()).or_default() += 1;
    }
    labelled(
        "failing_workers",
        MetricType::Gauge,
        "Daemons whose worker keeps failing",
        "worker",
        failing,
    )
}

fn linking(status: &Status) -> Vec<Metric> {
    let linking = &status.linking;
    let unreadable = linking
        .unreadable
        .iter()
        .map(|(reason, writes)| (reason.clone(), *writes));
    vec![
        gauge(
            "backfilled",
            "Whether every session has been read for its user; until then no revocation settles",
            linking.backfilled,
        ),
        gauge(
            "pending_links",
            "Writes of sessions that wait to be read, up to 100,000",
            linking.pending,
        ),
        gauge(
            "queue_full",
            "Whether so many wait that no more are noted",
            linking.queue_full,
        ),
        labelled(
            "unreadable_writes",
            MetricType::Counter,
            "Writes of session data in which no user could be found",
            "reason",
            unreadable,
        ),
    ]
}
