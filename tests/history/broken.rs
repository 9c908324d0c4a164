//! A checker that finds nothing proves nothing: each promise is broken here on purpose, and has to be found out.
//!
//! All of it happens in the database, by replacing what stands there; the daemon is the real one throughout. The
//! same load on the intact schema is what the other tests run.

use std::time::Duration;

use crate::{
    options::{More, Options},
    run,
    stand_in::StandIn,
    verdict::Verdict,
};

/// The body of the age rule, without one of its parts.
const SIGNATURE: &str = "create or replace function session_reaper.is_older(
    link_xid xid8, link_begun_at timestamptz, link_snapshot pg_snapshot,
    change_xid xid8, change_begun_at timestamptz, change_at timestamptz, change_newer_from xid8, policy text)
    returns boolean language sql immutable parallel safe return ";

/// It ends with the first survivor, most often within two seconds; on a machine with much else to do it has taken longer
/// than thirty, and at a load of fifteen longer than 240.
pub const LONG_ENOUGH: Duration = Duration::from_secs(600);

pub async fn run_broken(seed: u64, sabotage: &str, options: Options) -> Verdict {
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
            -- Or the second look would find some of them.
            new.looked_again := true;
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

/// Rewrites a function of the schema's: `from`, which has to be there, becomes `to`.
pub fn rewrite(function: &str, from: &str, to: &str) -> String {
    format!(
        "do $sabotage$
        declare
            intact text := pg_get_functiondef('session_reaper.{function}'::regproc);
        begin
            assert position($text${from}$text$ in intact) > 0;
            execute replace(intact, $text${from}$text$, $text${to}$text$);
        end $sabotage$;"
    )
}

fn writes() -> Options {
    Options {
        more: Some(More::Writes),
        ..Options::with_seed(0)
    }
}

#[tokio::test]
async fn a_rehash_that_ends_sessions_is_found_out() {
    let sabotage = rewrite("credential_changed", "= 'on'", "= 'never'");
    let verdict = run_broken(20, &sabotage, writes()).await;
    assert!(!verdict.bystanders.is_empty());
}

#[tokio::test]
async fn a_rehash_that_leaks_into_the_next_transaction_is_found_out() {
    let leak = "else perform set_config('session_reaper.rehash', 'on', false); end if;";
    let sabotage = rewrite("credential_changed", "end if;", leak);
    let verdict = run_broken(21, &sabotage, writes()).await;
    assert!(!verdict.lost.is_empty());
}

#[tokio::test]
async fn a_policy_that_spares_what_it_should_end_is_found_out() {
    survivors_with(
        "create function spare() returns trigger language plpgsql as $$
        begin
            new.policy := 'others';
            return new;
        end $$;
        create trigger spare before insert on session_reaper.revocation
            for each row execute function spare()",
    )
    .await;
}

#[tokio::test]
async fn a_policy_of_none_that_ends_sessions_is_found_out() {
    let sabotage = "create trigger email after update on auth_user for each row
        when (old.email is distinct from new.email)
        execute function session_reaper.credential_changed('email', 'others')";
    let verdict = run_broken(22, sabotage, writes()).await;
    assert!(!verdict.bystanders.is_empty());
}

#[tokio::test]
async fn a_table_beside_the_users_that_nobody_watches_is_found_out() {
    let sabotage = "create or replace function session_reaper.factor_changed()
        returns trigger language plpgsql as 'begin return null; end'";
    let verdict = run_broken(23, sabotage, writes()).await;
    assert!(!verdict.lost.is_empty());
    assert!(!verdict.survivors.is_empty());
}

/// The look that decides about settling would find what is left, so it has to be blind as well.
#[tokio::test]
async fn a_breach_switch_that_skips_its_last_page_is_found_out() {
    let skips = rewrite(
        "sweep_everyone",
        "more := pg_catalog.cardinality(keys) = most;",
        "more := pg_catalog.cardinality(keys) = most; if not more then keys := '{}'; end if;",
    );
    let blind = "create or replace function session_reaper.condemned_everyone(revocation bigint, most integer)
        returns setof varchar language sql stable as 'select null::varchar where false'";
    survivors_with(&format!("{skips} {blind}")).await;
}

#[tokio::test]
async fn a_breach_switch_that_ends_everything_is_found_out() {
    let sabotage = rewrite(
        "still_condemned",
        "where (k.session_key in (select pg_catalog.unnest(free_keys))) is true\n          and (",
        "where (k.session_key in (select pg_catalog.unnest(free_keys))) is true\n          and (r.scope = 'all' or ",
    );
    // Long enough for a few of them.
    let options = Options {
        run_for: Duration::from_secs(14),
        ..Options::with_seed(0)
    };
    let verdict = run_broken(24, &sabotage, options).await;
    assert!(!verdict.bystanders.is_empty());
}

/// With the last write's stamp, a save makes a session young again.
#[tokio::test]
async fn reading_with_the_stamp_of_the_last_write_is_found_out() {
    let last = rewrite(
        "logins_in",
        "pg_catalog.min(w.begun_at) as begun_at",
        "pg_catalog.max(w.begun_at) as begun_at",
    );
    let sight = rewrite(
        "logins_in",
        "session_reaper.seen_by_all(pg_catalog.array_agg(w.snapshot)) end as snapshot",
        "(pg_catalog.array_agg(w.snapshot order by w.begun_at desc))[1] end as snapshot",
    );
    // A save that comes between the change and the reading is what it takes, and the reading is too quick for most.
    let slow = rewrite(
        "take_pending_links",
        "if session_reaper.is_paused() then",
        "perform pg_catalog.pg_sleep(0.2);\n    if session_reaper.is_paused() then",
    );
    let always = rewrite(
        "is_any_link_pending",
        "return exists (",
        "return true or exists (",
    );
    survivors_with(&format!("{last} {sight} {slow} {always}")).await;
}

#[tokio::test]
async fn a_queue_that_forgets_transactions_in_progress_is_found_out() {
    survivors_with(&rewrite(
        "pending_since",
        "pg_snapshot_xip(e.drained_to) running (xid)",
        "pg_snapshot_xip('1:1:') running (xid)",
    ))
    .await;
}

fn read_while_running(before: usize) -> Options {
    Options {
        before,
        run_for: LONG_ENOUGH,
        ..Options::with_seed(0)
    }
}

#[tokio::test]
async fn a_reading_of_the_table_that_skips_sessions_is_found_out() {
    let sabotage = rewrite(
        "page",
        r#"and k."session_key" <= last_key"#,
        r#"and k."session_key" <= last_key and k."session_key" not like '%7'"#,
    );
    let verdict = run_broken(25, &sabotage, read_while_running(200)).await;
    assert!(!verdict.survivors.is_empty());
}

#[tokio::test]
async fn settling_before_the_table_has_been_read_is_found_out() {
    let sabotage = rewrite(
        "may_be_unlinked",
        "not (select t.complete from session_reaper.backfill t)",
        "false",
    );
    let verdict = run_broken(26, &sabotage, read_while_running(2000)).await;
    assert!(!verdict.survivors.is_empty());
}
