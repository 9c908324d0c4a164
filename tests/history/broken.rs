//! A checker that finds nothing proves nothing: each promise is broken here on purpose, and has to be found out.
//!
//! All of it happens in the database, by replacing what stands there; the daemon is the real one throughout. The
//! same load on the intact schema is what the other tests run.

use std::time::Duration;

use crate::{
    run,
    stand_in::StandIn,
    verdict::Verdict,
    world::{More, Options},
};

/// The body of the age rule, without one of its parts.
const SIGNATURE: &str = "create or replace function session_reaper.is_older(
    link_xid xid8, link_begun_at timestamptz, link_snapshot pg_snapshot,
    change_xid xid8, change_begun_at timestamptz, change_at timestamptz, policy text)
    returns boolean language sql immutable parallel safe return ";

/// It ends with the first survivor, most often within two seconds; on a machine with much else to do it has taken longer
/// than thirty.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

async fn run_broken(seed: u64, sabotage: &str, options: Options) -> Verdict {
    let options = Options {
        seed,
        faults: false,
        sabotage: sabotage.to_owned(),
        ..options
    };
    run::run(options).await
}

async fn survivors_with(sabotage: &str) {
    let options = Options {
        run_for: LONG_ENOUGH,
        ..Options::with_seed(0)
    };
    let verdict = run_broken(11, sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

#[tokio::test]
async fn age_by_the_order_of_inserts_is_found_out() {
    survivors_with(&format!(
        "{SIGNATURE} case when link_xid = change_xid then policy = 'all' else link_begun_at <= change_at end;
        alter table session_reaper.user_session alter begun_at set default clock_timestamp()"
    ))
    .await;
}

#[tokio::test]
async fn a_link_without_a_snapshot_is_found_out() {
    let sabotage = format!(
        "{SIGNATURE} case when link_xid = change_xid then policy = 'all' else link_begun_at <= change_at end"
    );
    let options = Options {
        two_phase: true,
        run_for: LONG_ENOUGH,
        ..Options::with_seed(0)
    };
    let verdict = run_broken(12, &sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

#[tokio::test]
async fn a_stamp_in_the_row_trigger_is_found_out() {
    survivors_with(
        "alter table session_reaper.change alter at set default clock_timestamp();
        create function keep_first_stamp() returns trigger language plpgsql as $$
        begin
            new.at := old.at;
            return new;
        end $$;
        create trigger keep_first_stamp before update on session_reaper.change
            for each row execute function keep_first_stamp()",
    )
    .await;
}

#[tokio::test]
async fn a_rule_that_forgets_the_changing_transaction_is_found_out() {
    let sabotage = format!(
        "{SIGNATURE} not pg_visible_in_snapshot(change_xid, link_snapshot) or link_begun_at <= coalesce(change_at, 'infinity')"
    );
    let verdict = run_broken(13, &sabotage, Options::with_seed(0)).await;
    assert!(!verdict.bystanders.is_empty());
}

#[tokio::test]
async fn a_rule_that_keeps_nothing_is_found_out() {
    let sabotage = "create or replace function session_reaper.is_kept(session_key character varying, keep_digest text, policy text)
        returns boolean language sql immutable parallel safe return false";
    let options = Options {
        more: Some(More::Keeps),
        ..Options::with_seed(0)
    };
    let verdict = run_broken(14, sabotage, options).await;
    assert!(!verdict.bystanders.is_empty());
}

#[tokio::test]
async fn no_settling_is_found_out() {
    survivors_with(
        "create function settle_at_once() returns trigger language plpgsql as $$
        begin
            new.state := 'settled';
            new.settled_at := clock_timestamp();
            return new;
        end $$;
        create trigger settle_at_once before update on session_reaper.revocation
            for each row when (new.state = 'revoked') execute function settle_at_once()",
    )
    .await;
}

#[tokio::test]
async fn a_horizon_of_write_transactions_only_is_found_out() {
    let options = Options {
        more: Some(More::Reads),
        run_for: LONG_ENOUGH,
        ..Options::with_seed(0)
    };
    let sabotage = "
        create function forget_readers() returns trigger language plpgsql as $$
        begin
            new.virtual_transactions := array(
                select l.virtualtransaction from pg_locks l
                where l.locktype = 'transactionid' and l.granted
                  and l.virtualtransaction = any (new.virtual_transactions));
            return new;
        end $$;
        create trigger forget_readers before insert on session_reaper.horizon
            for each row execute function forget_readers()";
    let verdict = run_broken(19, sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

/// The sweep stays as it is; only the look that decides about settling sees nothing.
#[tokio::test]
async fn settling_although_a_row_was_skipped_is_found_out() {
    let options = Options {
        more: Some(More::Holds),
        run_for: LONG_ENOUGH,
        ..Options::with_seed(0)
    };
    let sabotage = "
        create or replace function session_reaper.unfinished(revocations bigint[])
        returns bigint[] language sql stable as $$ select '{}'::bigint[] $$";
    let verdict = run_broken(15, sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

#[tokio::test]
async fn a_notification_without_an_outbox_is_found_out() {
    let sabotage = "
        create or replace function session_reaper.credential_changed() returns trigger language plpgsql as $$
        begin
            perform pg_notify('session_reaper', new.id::text);
            return null;
        end $$";
    let options = Options {
        ..Options::with_seed(0)
    };
    let verdict = run_broken(16, sabotage, options).await;
    assert!(!verdict.lost.is_empty());
}

#[tokio::test]
async fn forgetting_what_may_be_written_back_is_found_out() {
    let options = Options {
        grace_s: 2,
        run_for: LONG_ENOUGH,
        ..Options::with_seed(0)
    };
    let sabotage = "
        create function forget_keys() returns trigger language plpgsql as 'begin return null; end';
        create trigger forget_keys before insert on session_reaper.revoked_key
            for each row execute function forget_keys()";
    let verdict = run_broken(17, sabotage, options).await;
    assert!(!verdict.survivors.is_empty());
}

/// With both kinds of stand-in, so that it is the two transactions that are found out and not the stand-in.
#[tokio::test]
async fn mark_and_deletion_in_two_transactions_are_found_out() {
    let options = |kind| Options {
        daemons: 0,
        stand_in: Some(kind),
        ..Options::with_seed(0)
    };
    let verdict = run_broken(18, "", options(StandIn::OneTransaction)).await;
    assert!(verdict.is_clean());
    let verdict = run_broken(18, "select", options(StandIn::TwoTransactions)).await;
    assert!(!verdict.survivors.is_empty());
}
