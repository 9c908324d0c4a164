//! A long run, from a seed; see `make soak`.

use std::time::Duration;

use crate::{
    cache, control,
    options::{Options, Trouble},
    run,
};

/// What the site itself goes through: what `SOAK_TROUBLES` names, or the usual.
fn troubles() -> Vec<Trouble> {
    let Ok(names) = std::env::var("SOAK_TROUBLES") else {
        return Trouble::USUAL.to_vec();
    };
    let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    let known = |name: &&str| Trouble::ALL.iter().any(|trouble| trouble.name() == *name);
    assert!(names.iter().all(known), "SOAK_TROUBLES: {names:?}");
    let is_named = |trouble: &Trouble| names.contains(&trouble.name());
    Trouble::ALL.into_iter().filter(is_named).collect()
}

/// Seconds from the environment: long enough for every fault by default, and for `make soak` as long as asked for.
fn soak() -> Option<Options> {
    let seconds = std::env::var("SOAK_SECONDS").ok()?.parse().ok()?;
    let seed = std::env::var("SOAK_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..1_000_000));
    let troubles = troubles();
    Some(Options {
        run_for: Duration::from_secs(seconds),
        failovers: !troubles.contains(&Trouble::Standby),
        two_phase: seed.is_multiple_of(2),
        grace_s: if seed.is_multiple_of(3) { 2 } else { 0 },
        before: if seed.is_multiple_of(5) { 200 } else { 0 },
        // Without one, revocations settle sooner.
        cached: !seed.is_multiple_of(5) && cache::is_installed(),
        troubles,
        histories: 1_000,
        ..Options::with_seed(seed)
    })
}

/// As long as `SOAK_SECONDS` says, from the seed `SOAK_SEED`; nothing without these.
#[tokio::test]
#[ignore = "runs as long as SOAK_SECONDS says; see `make soak`"]
async fn soak_for_long() {
    let options = soak().expect("SOAK_SECONDS");
    let verdict = run::run(options.clone()).await;
    let control = control::run(&options).await;
    println!("without session-reaper, from the same seed: {control}");
    assert!(verdict.is_clean());
    assert!(
        !verdict.deadlocks.exceed(&control),
        "the app deadlocks more than by itself: {}",
        verdict.deadlocks
    );
}

/// What a soak compares its deadlocks with.
#[tokio::test]
async fn a_site_without_session_reaper_is_worked_on_as_well() {
    let options = Options {
        run_for: Duration::from_secs(2),
        ..Options::with_seed(46)
    };
    let control = control::run(&options).await;
    assert!(control.operations > 0);
    assert_eq!(control.failed, 0);
}
