//! A history checker: many clients, many faults, and afterwards a verdict from what the clients know.
//!
//! It knows nothing of how session-reaper works: only its tables' names, its functions for apps, and when it
//! calls a revocation settled.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails to unwrap has failed, which is all that it has to say"
)]

mod broken;
mod cache;
mod change;
mod client;
mod daemon;
mod data;
mod failover;
mod faults;
mod ledger;
mod lost;
mod monitor;
mod proxy;
mod readings;
mod rules;
mod run;
mod saves;
mod stand_in;
mod standby;
mod verdict;
mod world;

use std::time::Duration;

use world::{More, Options};

/// Seconds from the environment: long enough for every fault by default, and for `make soak` as long as asked for.
fn soak() -> Option<Options> {
    let seconds = std::env::var("SOAK_SECONDS").ok()?.parse().ok()?;
    let seed = std::env::var("SOAK_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..1_000_000));
    Some(Options {
        run_for: Duration::from_secs(seconds),
        failovers: true,
        two_phase: seed.is_multiple_of(2),
        grace_s: if seed.is_multiple_of(3) { 2 } else { 0 },
        before: if seed.is_multiple_of(5) { 200 } else { 0 },
        // Without one, revocations settle sooner.
        cached: !seed.is_multiple_of(5) && cache::is_installed(),
        ..Options::with_seed(seed)
    })
}

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

/// As long as `SOAK_SECONDS` says, from the seed `SOAK_SEED`; nothing without these.
#[tokio::test]
#[ignore = "runs as long as SOAK_SECONDS says; see `make soak`"]
async fn soak_for_long() {
    let options = soak().expect("SOAK_SECONDS");
    assert!(run::run(options).await.is_clean());
}
