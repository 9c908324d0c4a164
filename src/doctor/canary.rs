//! Whether the daemon's own last revocation worked.

use super::{Opinion, Patient, ok, warn};
use crate::{connection::Error, wording::lasting};

/// This many runs may be missed before the operator should know: one may fall into a restart.
const MISSED: u64 = 3;

pub(super) async fn canary(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let (Some(status), settings) = (&patient.status, &patient.settings.canary) else {
        return Ok(Vec::new());
    };
    if settings.interval_s == 0 {
        return ok("is off");
    }
    let canary = &status.canary;
    if let Some(failure) = canary.failure() {
        return warn(
            "canary.failed",
            "",
            format!("its last run has failed: {failure}"),
        );
    }
    let longest_s = (MISSED * settings.interval_s + settings.timeout_s) as f64;
    // One that has just been switched on, or started, has not had its time yet.
    let served_s = status.daemons.iter().map(|daemon| daemon.served_s);
    let silent_s = canary.succeeded_ago_s.unwrap_or(f64::INFINITY);
    let silent_s = silent_s.min(served_s.fold(0.0, f64::max));
    if silent_s > longest_s && status.paused.is_none() {
        return warn(
            "canary.stale",
            "",
            format!(
                "no run has succeeded for {}: see the daemon's log, and whether it has these settings",
                lasting(silent_s)
            ),
        );
    }
    ok(canary
        .success()
        .unwrap_or_else(|| "has not run yet".to_owned()))
}
