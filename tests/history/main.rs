//! A history checker: many clients, many faults, and afterwards a verdict from what the clients know.
//!
//! It knows nothing of how session-reaper works: only its tables' names, its functions for apps, and when it
//! calls a revocation settled.

mod client;
mod daemon;
mod ledger;
mod monitor;
mod rules;
mod run;
mod verdict;
mod world;

use world::Options;

#[tokio::test]
async fn nothing_survives_nobody_is_hit_and_nothing_is_lost() {
    let verdict = run::run(Options::with_seed(1)).await;
    assert!(verdict.survivors.is_empty());
    assert!(verdict.bystanders.is_empty());
    assert!(verdict.lost.is_empty());
}
