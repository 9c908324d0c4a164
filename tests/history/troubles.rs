//! What befalls the site itself: one kind after the other, whole and broken on purpose.

use std::time::Duration;

use crate::{
    broken::{LONG_ENOUGH, rewrite, run_broken},
    options::{Options, Trouble},
    run,
};

fn with(seed: u64, troubles: &[Trouble]) -> Options {
    Options {
        troubles: troubles.to_vec(),
        run_for: Duration::from_secs(10),
        ..Options::with_seed(seed)
    }
}

#[tokio::test]
async fn rights_that_come_and_go_fail_nothing_and_lose_nothing() {
    assert!(run::run(with(41, &[Trouble::Rights])).await.is_clean());
}

#[tokio::test]
async fn rows_that_fail_statements_hold_up_nothing_else() {
    let options = Options {
        before: 100,
        ..with(42, &[Trouble::Poison])
    };
    assert!(run::run(options).await.is_clean());
}

#[tokio::test]
async fn a_long_history_holds_up_nobody() {
    assert!(run::run(with(43, &[Trouble::Histories])).await.is_clean());
}

#[tokio::test]
async fn pauses_under_load_fail_nothing_and_lose_nothing() {
    assert!(run::run(with(44, &[Trouble::Pauses])).await.is_clean());
}

#[tokio::test]
async fn a_key_that_is_somebody_elses_again_is_left_alone() {
    let options = Options {
        grace_s: 2,
        ..with(45, &[Trouble::Reuse])
    };
    assert!(run::run(options).await.is_clean());
}

/// By such a clock nobody can tell who came just after a change, and who just before: only what is older counts here.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_older_session_and_loses_nothing() {
    let verdict = run::run(with(47, &[Trouble::Clock])).await;
    assert!(verdict.survivors.is_empty() && verdict.lost.is_empty());
}

#[tokio::test]
async fn a_login_that_reads_from_a_standby_is_not_believed_more_than_that_can_know() {
    assert!(run::run(with(48, &[Trouble::Standby])).await.is_clean());
}

/// In recovery, PostgreSQL names no transaction as running.
#[tokio::test]
async fn a_standby_that_is_taken_for_a_primary_is_found_out() {
    let sabotage = rewrite("seen_here", "pg_catalog.pg_is_in_recovery()", "false");
    let options = Options {
        run_for: LONG_ENOUGH,
        ..with(0, &[Trouble::Standby])
    };
    let verdict = run_broken(56, &sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

/// Nobody is held to serve, so that each change ends sessions itself.
#[tokio::test]
async fn an_error_of_ours_that_reaches_the_app_is_found_out() {
    let unserved = rewrite("is_served", "select exists", "select false and exists");
    let pass_on = |function| {
        let caught = "when others or assert_failure then";
        rewrite(function, caught, &format!("{caught} raise;"))
    };
    let passed_on = [pass_on("sweep_inline"), pass_on("act_on_change")].concat();
    let options = Options {
        run_for: LONG_ENOUGH,
        ..with(0, &[Trouble::Rights])
    };
    let verdict = run_broken(51, &format!("{unserved} {passed_on}"), options).await;
    assert!(!verdict.failed.is_empty());
}

/// No error is held to be about a row, so that it fails the statement for all of its batch.
#[tokio::test]
async fn a_row_that_holds_up_the_others_is_found_out() {
    let sabotage = "create or replace function session_reaper.is_of_the_row(code text)
        returns boolean language sql immutable parallel safe return false";
    let options = Options {
        before: 100,
        ..with(0, &[Trouble::Poison])
    };
    let verdict = run_broken(55, sabotage, options).await;
    assert!(!verdict.lost.is_empty());
}

/// Each link that is read waits for as long as its user's history is.
#[tokio::test]
async fn work_that_grows_with_a_history_is_found_out() {
    let sabotage = "
        create function weigh() returns trigger language plpgsql as $$
        begin
            perform pg_sleep(0.01 * (select count(*) from session_reaper.revocation r where r.user_id = new.user_id));
            return new;
        end $$;
        create trigger weigh before insert on session_reaper.user_session
            for each row when (new.from_data) execute function weigh()";
    let verdict = run_broken(52, sabotage, with(0, &[Trouble::Histories])).await;
    assert!(!verdict.lost.is_empty());
}

#[tokio::test]
async fn a_change_that_is_forgotten_in_a_pause_is_found_out() {
    let sabotage = rewrite("paused_change", "if counts then", "if false then");
    let verdict = run_broken(53, &sabotage, with(0, &[Trouble::Pauses])).await;
    assert!(!verdict.lost.is_empty());
}

#[tokio::test]
async fn a_session_that_ends_for_the_key_it_has_got_is_found_out() {
    let sabotage = "create or replace function session_reaper.is_named(
        is_over boolean, has_ended boolean, of_deleted boolean, is_of_everybody boolean, named_user integer,
        link_user integer, link_read boolean, link_is_older boolean)
        returns boolean language sql immutable parallel safe return not is_over or link_is_older";
    let options = Options {
        grace_s: 2,
        ..with(0, &[Trouble::Reuse])
    };
    let verdict = run_broken(54, sabotage, options).await;
    assert!(!verdict.bystanders.is_empty());
}
