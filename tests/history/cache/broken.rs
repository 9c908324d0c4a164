//! What is promised of the cache, broken on purpose: each has to be found out.

use crate::{
    broken::{LONG_ENOUGH, rewrite, run_broken},
    cache,
    options::{More, Options},
};

fn cached(seed: u64) -> Options {
    Options {
        cached: true,
        run_for: LONG_ENOUGH,
        ..Options::with_seed(seed)
    }
}

async fn found_with(sabotage: &str, options: Options) {
    if !cache::is_installed() {
        return;
    }
    let verdict = run_broken(options.seed, sabotage, options).await;
    assert!(!verdict.cached.is_empty());
}

#[tokio::test]
async fn evicting_once_is_found_out() {
    let sabotage = rewrite(
        "take_evictions",
        "grace_s <= 0 as is_last",
        "true as is_last",
    );
    found_with(&sabotage, cached(31)).await;
}

#[tokio::test]
async fn settling_without_the_cache_is_found_out() {
    let sabotage =
        "create or replace function session_reaper.awaiting_eviction(revocations bigint[])
        returns setof bigint language sql stable as 'select null::bigint where false'";
    found_with(sabotage, cached(32)).await;
}

/// The first eviction is held to have happened in the transaction that deletes, so that the grace begins before that has
/// committed.
#[tokio::test]
async fn evicting_before_the_deletion_has_committed_is_found_out() {
    let sabotage = "alter table session_reaper.pending_eviction alter evicted_at set default clock_timestamp()";
    let options = Options {
        more: Some(More::Leaves),
        ..cached(33)
    };
    found_with(sabotage, options).await;
}

#[tokio::test]
async fn a_session_deleted_by_other_hands_that_nobody_notes_is_found_out() {
    let sabotage = rewrite(
        "session_deleted",
        "if not exists",
        "if current_setting('application_name') = 'session-reaper' and not exists",
    );
    found_with(&sabotage, cached(34)).await;
}

/// Where a change believes that it is not served, it ends sessions itself.
#[tokio::test]
async fn a_session_that_the_change_itself_ended_and_nobody_notes_is_found_out() {
    let unserved = rewrite("is_served", "select exists", "select false and exists");
    let unnoted = rewrite(
        "session_deleted",
        "if not exists",
        "if pg_trigger_depth() = 1 and not exists",
    );
    found_with(&format!("{unserved} {unnoted}"), cached(35)).await;
}
