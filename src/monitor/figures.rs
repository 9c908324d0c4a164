//! What is counted: what the database knows, and beside it what only this daemon knows of itself.

use std::time::SystemTime;

use prometheus_client::{metrics::gauge::ConstGauge, registry::Registry};

use super::observer::Sight;
use crate::{
    process::service_manager::Reload,
    status::{exposition, metrics},
    worker::failures::Failures,
};

/// What only this daemon knows.
pub struct Own<'a> {
    pub failures: &'a Failures,
    pub serves: bool,
    pub reload: Reload,
    pub started_at: SystemTime,
}

/// All of it, as Prometheus reads it.
pub fn text(sight: &Sight, own: &Own<'_>) -> String {
    let mut registry = exposition::registry();
    match &sight.view {
        Ok(view) => metrics::register(&mut registry, &view.status),
        Err(blind) => metrics::register_without_figures(&mut registry, blind.served),
    }
    own.register(&mut registry);
    exposition::text(&registry)
}

impl Own<'_> {
    fn register(&self, registry: &mut Registry) {
        self.failures.register(registry);
        registry.register(
            "ready",
            "Whether this daemon serves: its heartbeats come back, and revoking works",
            ConstGauge::new(i64::from(self.serves)),
        );
        registry.register(
            "settings_in_force",
            "Whether the settings of the file are in force, or a reload has failed",
            ConstGauge::new(i64::from(self.reload.is_in_force)),
        );
        register_time(
            registry,
            "start_timestamp_seconds",
            "When this daemon was started, since 1970",
            self.started_at,
        );
        if let Some(at) = self.reload.at {
            register_time(
                registry,
                "last_reload_timestamp_seconds",
                "When the settings were last read again, whatever came of it",
                at,
            );
        }
    }
}

fn register_time(registry: &mut Registry, name: &str, help: &str, at: SystemTime) {
    registry.register(name, help, ConstGauge::new(seconds(at)));
}

/// Since 1970; a clock before that gives 0.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
