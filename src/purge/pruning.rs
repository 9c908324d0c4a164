//! Revocations go, too, when they have been settled for longer than they are kept.

use std::time::Instant;

use super::purger::Purger;
use crate::{
    connection::Error,
    process::shutdown::Stop,
    revoke::table::settled::{PRUNED_AT_ONCE, prune},
    settings,
    worker::passing::Passing,
};

impl Purger {
    /// In batches with rests like the sessions; returns how many.
    pub(super) async fn prune(
        &self,
        settings: &settings::Purge,
        stop: &Stop,
    ) -> Result<u64, Error> {
        let (mut revocations, mut passing) = (0, Passing::new(stop));
        loop {
            let begun = Instant::now();
            let most = self.prune_size.of(PRUNED_AT_ONCE);
            let pruned = prune(&self.database, settings.retention_d, most).await;
            let Some(pruned) = passing.retry(self.prune_size.note(pruned)).await else {
                continue;
            };
            let (count, more) = match pruned {
                Err(error) if error.is_out_of_time() && most > 1 => (0, true),
                pruned => pruned?,
            };
            revocations += count;
            if !more || stop.is_stopped() {
                return Ok(revocations);
            }
            let rest = begun.elapsed().mul_f64(settings.pause_ratio);
            stop.run_until_stopped(tokio::time::sleep(rest)).await;
        }
    }
}
