//! What is promised of the cache, broken on purpose: each has to be found out.

use crate::{
    broken::{LONG_ENOUGH, rewrite, run_broken},
    cache, run,
    world::{More, Options},
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

/// The note is committed before the deletion: over a connection of its own.
#[tokio::test]
async fn evicting_before_the_deletion_has_committed_is_found_out() {
    let sabotage = "
        create extension dblink;
        create or replace function session_reaper.note_deleted(gone character varying)
        returns void language sql as $$
            select public.dblink_exec(
                format('host=%s port=%s user=postgres dbname=postgres',
                       split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port')),
                format('insert into session_reaper.pending_eviction (session_key, user_id, xid, begun_at, snapshot)
                        select %1$L, l.user_id, l.xid, l.begun_at, l.snapshot
                        from (values (1)) one
                        left join session_reaper.user_session l on l.session_key = %1$L', gone))
        $$";
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

/// With faults, since it takes a change while there is no daemon.
#[tokio::test]
async fn a_session_that_the_change_itself_ended_and_nobody_notes_is_found_out() {
    if !cache::is_installed() {
        return;
    }
    let sabotage = rewrite(
        "session_deleted",
        "if not exists",
        "if pg_trigger_depth() = 1 and not exists",
    );
    let options = Options {
        sabotage,
        ..cached(35)
    };
    assert!(!run::run(options).await.cached.is_empty());
}
