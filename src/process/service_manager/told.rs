//! What was reported last, and what that means in words.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use crate::process::fitness::Fitness;

/// What was reported last, so that nothing is reported twice.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) ready: bool,
    /// When a heartbeat came back last.
    pub(super) alive_at: Option<Instant>,
    /// Whether revoking achieves nothing, so that the daemon does not serve although heartbeats come back.
    pub(super) unfit: bool,
    /// Whether the listening connection is lost.
    pub(super) lost: bool,
    pub(super) status: String,
    pub(super) concern: Option<String>,
    /// What workers keep failing at, by worker.
    pub(super) troubles: BTreeMap<&'static str, String>,
    /// Why the last reload has left the old settings in force.
    pub(super) not_reloaded: Option<(Instant, String)>,
    /// When the settings were last read again, whatever came of it.
    pub(super) reloaded_at: Option<SystemTime>,
}

impl Told {
    /// The worst of it, and the result of a reload.
    pub(super) fn describe(&self, fitness: &Fitness) -> String {
        let worst = self.worst(fitness);
        match &self.not_reloaded {
            Some((_, why)) => format!("{worst}; settings not reloaded: {why}"),
            None => worst,
        }
    }

    fn worst(&self, fitness: &Fitness) -> String {
        let trouble = self.troubles.values().next();
        if !fitness.is_fit() {
            "not serving: revoking fails, see the log".to_owned()
        } else if fitness.is_failing() {
            "serving; revoking fails, see the log".to_owned()
        } else if let Some(concern) = trouble.or(self.concern.as_ref()) {
            format!("serving; {concern}")
        } else {
            "serving".to_owned()
        }
    }

    /// Whether the daemon serves, and how it is.
    pub(super) fn is_serving(&self, longest: Duration) -> (bool, String) {
        let Some(alive_at) = self.alive_at else {
            let waits = if self.status.is_empty() {
                "starting"
            } else {
                &self.status
            };
            return (false, waits.to_owned());
        };
        if self.lost || self.unfit {
            return (false, self.status.clone());
        }
        let silent_for = alive_at.elapsed();
        if silent_for > longest {
            let silence = format!("no heartbeat has come back for {} s", silent_for.as_secs());
            return (false, silence);
        }
        (true, self.status.clone())
    }
}
