//! The site on another server than before: what comes along there, and what does not.

use std::time::Duration;

use crate::{
    broken::{LONG_ENOUGH, rewrite, run_broken},
    options::{More, Options, Trouble},
    run,
};

fn with(seed: u64, trouble: Trouble) -> Options {
    Options {
        troubles: vec![trouble],
        run_for: Duration::from_secs(15),
        ..Options::with_seed(seed)
    }
}

#[tokio::test]
async fn what_a_standby_lacked_when_it_was_promoted_is_gone_and_nothing_else() {
    let verdict = run::run(with(61, Trouble::Loss)).await;
    assert!(verdict.is_clean());
    assert!(verdict.count("changes lost with a server") > 0);
}

/// Each of its transactions is numbered anew.
#[tokio::test]
async fn a_site_that_is_restored_under_running_daemons_keeps_no_older_session_and_loses_nothing_more()
 {
    let verdict = run::run(with(63, Trouble::Restore)).await;
    assert!(verdict.is_clean());
    assert!(verdict.count("fault: site restored from a dump") > 0);
}

#[tokio::test]
async fn a_version_of_a_lost_primary_that_counts_as_having_seen_everything_is_found_out() {
    let sabotage = rewrite(
        "version_snapshot",
        "return '1:1:'",
        "return pg_catalog.pg_current_snapshot()",
    );
    let options = Options {
        // So that many are verifying when the primary is lost.
        more: Some(More::Reads),
        run_for: LONG_ENOUGH,
        ..with(0, Trouble::Loss)
    };
    let verdict = run_broken(62, &sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

#[tokio::test]
async fn restored_transaction_ids_that_count_as_having_been_read_here_are_found_out() {
    let adopts = rewrite(
        "adopt_ids",
        "update session_reaper.drain q set drained_to = '1:1:';",
        "",
    );
    let believes = "create or replace function session_reaper.is_from_elsewhere(seen pg_snapshot)
        returns boolean language sql stable return false";
    let options = Options {
        run_for: LONG_ENOUGH,
        ..with(0, Trouble::Restore)
    };
    let verdict = run_broken(64, &format!("{adopts} {believes}"), options).await;
    // Where the drain believes to have read beyond what there is, a write is never read: either its session outlives the
    // change, or the change never settles.
    assert!(!verdict.survivors.is_empty() || !verdict.lost.is_empty());
}

#[tokio::test]
async fn a_site_that_moves_to_a_subscriber_reads_what_has_arrived_and_ends_it_later() {
    let options = Options {
        run_for: Duration::from_secs(20),
        ..with(65, Trouble::Cutover)
    };
    let verdict = run::run(options).await;
    assert!(verdict.is_clean());
    assert!(verdict.count("fault: site moved to a subscriber") > 0);
}

#[tokio::test]
async fn sessions_that_have_arrived_and_are_never_read_are_found_out() {
    let sabotage = rewrite(
        "adopt_ids",
        "perform session_reaper.backfill_again('arrived');",
        "null;",
    );
    let options = Options {
        run_for: LONG_ENOUGH,
        ..with(0, Trouble::Cutover)
    };
    let verdict = run_broken(66, &sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}
