//! A history checker: many clients, many faults, and afterwards a verdict from what the clients know.
//!
//! It knows nothing of how session-reaper works: only its tables' names, its functions for apps, and when it
//! calls a revocation settled.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails to unwrap has failed, which is all that it has to say"
)]

mod backfills;
mod broken;
mod cache;
mod change;
mod client;
mod control;
mod cutover;
mod daemon;
mod data;
mod dump;
mod elsewhere;
mod failover;
mod faked_clock;
mod faults;
mod histories;
mod ledger;
mod loss;
mod lost;
mod monitor;
mod options;
mod pauses;
mod poison;
mod programs;
mod proxy;
mod restore;
mod rewind;
mod rights;
mod rules;
mod run;
mod saves;
mod site;
mod soak;
mod stand_in;
mod standby;
mod troubles;
mod verdict;
mod world;

use std::time::Duration;

use options::{More, Options};

#[tokio::test]
async fn nothing_survives_nobody_is_hit_and_nothing_is_lost() {
    let options = Options {
        more: Some(More::Keeps),
        run_for: Duration::from_secs(12),
        ..Options::with_seed(1)
    };
    assert!(run::run(options).await.is_clean());
}

#[tokio::test]
async fn the_same_with_two_phase_commit_and_sessions_that_are_written_back() {
    let options = Options {
        two_phase: true,
        grace_s: 2,
        more: Some(More::Holds),
        run_for: Duration::from_secs(12),
        ..Options::with_seed(2)
    };
    assert!(run::run(options).await.is_clean());
}

#[tokio::test]
async fn the_same_with_logins_that_take_long_to_verify() {
    let options = Options {
        more: Some(More::Reads),
        ..Options::with_seed(3)
    };
    assert!(run::run(options).await.is_clean());
}

#[tokio::test]
async fn the_same_while_sessions_from_before_the_installation_are_read() {
    let options = Options {
        before: 200,
        run_for: Duration::from_secs(12),
        ..Options::with_seed(4)
    };
    assert!(run::run(options).await.is_clean());
}

/// Each of its entries is held against what its clients know, as each session is.
#[tokio::test]
async fn the_same_with_a_cache_beside_the_sessions() {
    if !cache::is_installed() {
        return;
    }
    let options = Options {
        cached: true,
        run_for: Duration::from_secs(10),
        ..Options::with_seed(4)
    };
    assert!(run::run(options).await.is_clean());
}
