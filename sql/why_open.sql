-- For people: why a revocation is still open, in the order in which the work proceeds. Nothing here decides anything.

create or replace function session_reaper.blocking(horizon bigint)
returns setof text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select pg_catalog.format('the open transaction of process %s (%s, %s)',
        l.pid, coalesce(pg_catalog.pg_get_userbyid(a.usesysid), 'an unknown role'), coalesce(nullif(a.application_name, ''), 'unnamed'))
    from session_reaper.horizon h
    join pg_catalog.pg_locks l on l.locktype = 'virtualxid' and l.granted and l.virtualxid = any (h.virtual_transactions)
    cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
    where h.id = horizon and l.pid is not null and h.server_started_at = pg_catalog.pg_postmaster_start_time()
    union all
    select pg_catalog.format('the prepared transaction of %s', p.owner)
    from session_reaper.horizon h
    join pg_catalog.pg_prepared_xacts p on p.transaction::text = any (h.prepared_transactions)
    where h.id = horizon
$$;

comment on function session_reaper.blocking(bigint) is
    'The transactions that this horizon still waits for, in words.';

-- The first cause that applies is the one to look at: later ones wait for it.
create or replace function session_reaper.why_open(revocation bigint, grace_s double precision)
returns table (cause text, detail text)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    select w.cause, w.detail
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    left join session_reaper.horizon h on h.id = r.horizon_id
    cross join lateral (
        select 1, 'paused', null::text where exists (select from session_reaper.pause)
        union all
        select 2, 'failing', r.last_error where r.last_error is not null
        union all
        select 3, 'unserved', null where not session_reaper.is_served()
        union all
        select 4, 'requested', null where r.state = 'requested'
        union all
        select 5, 'transaction', coalesce(b.blocking, 'transactions that were open at the change')
            from (select null) one (nothing)
            left join lateral session_reaper.blocking(h.id) b (blocking) on true
            where h.passed_at is null
        union all
        select 6, 'pending_link', null where session_reaper.may_be_unlinked(c.xid, c.begun_at, c.at, c.newer_from, r.policy)
        union all
        select 7, 'cache', null where exists (select from session_reaper.awaiting_eviction(array[r.id]))
        union all
        select 8, 'grace', null
            where coalesce(r.remembered_at, r.revoked_at) + grace_s * interval '1 second' > pg_catalog.clock_timestamp()
        union all
        select 9, 'last_look', null
    ) w (place, cause, detail)
    where r.id = revocation and r.state <> 'settled'
    order by w.place
    fetch first 1 row with ties
$$;

comment on function session_reaper.why_open(bigint, double precision) is
    'What an open revocation waits for: a cause, and the transaction or SQLSTATE. No row for one that has settled.';
