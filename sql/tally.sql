-- How fast revocations are, and their totals: for people and monitors. Nothing here decides anything.

-- Null if it is not known, or has not happened. Never negative: clocks go back, time does not.
create or replace function session_reaper.seconds_after(changed_at timestamptz, at timestamptz)
returns double precision
language sql
immutable
return case when pg_catalog.isfinite(changed_at) and at is not null
        then greatest(pg_catalog.date_part('epoch', at - changed_at), 0) end;

comment on function session_reaper.seconds_after(timestamptz, timestamptz) is
    'How long after a change something happened, in seconds; null for a change without a stamp.';

-- Half a microsecond is subtracted, because a bound belongs to the values below it, and nothing is measured more finely
-- than in microseconds.
create or replace function session_reaper.at_most(seconds double precision)
returns double precision
language sql
immutable
return case when seconds is not null then
        ('{0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10,30,60,300,1800,7200,86400,Infinity}'::double precision[])[1
            + pg_catalog.width_bucket(seconds - 0.0000005,
                '{0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10,30,60,300,1800,7200,86400}'::double precision[])] end;

comment on function session_reaper.at_most(double precision) is
    'The smallest bound of our histograms that is not less than this.';

-- The caller may give any reason, and a monitor would keep each of them for ever.
create or replace function session_reaper.reason_of_ours(reason text)
returns text
language sql
immutable
return case when reason in ('password', 'deactivated', 'deleted', 'requested', 'stale hash', 'sessions_max', 'lifetime', 'idle',
            'canary')
        then pg_catalog.replace(reason, ' ', '_') else 'other' end;

comment on function session_reaper.reason_of_ours(text) is 'The reason of a revocation as a monitor counts it.';

-- These two are not views, because views would depend on the functions that they call and prevent replacing them. They run
-- with the caller's rights, so that the planner can inline them.
create or replace function session_reaper.latency()
returns table (
    id bigint, reason text, state text, sessions_ended bigint, revoked_at timestamptz, settled_at timestamptz,
    gone_s double precision, settled_s double precision)
language sql
stable
as $$
    select r.id, session_reaper.reason_of_ours(r.reason), r.state, r.sessions_ended, r.revoked_at, r.settled_at,
        session_reaper.seconds_after(r.changed_at, r.revoked_at), session_reaper.seconds_after(r.changed_at, r.settled_at)
    from session_reaper.revocation r
$$;

comment on function session_reaper.latency() is
    'How many seconds each revocation took from the change until its sessions were gone, and until it had settled; null if it has not, or if that is not known.';

create or replace function session_reaper.totals()
returns table (
    reason text, gone_le double precision, settled_le double precision, revocations bigint, gone_s double precision,
    settled_s double precision, sessions_ended bigint)
language sql
stable
as $$
    select l.reason, session_reaper.at_most(l.gone_s), session_reaper.at_most(l.settled_s),
        pg_catalog.count(*), coalesce(pg_catalog.sum(l.gone_s), 0), coalesce(pg_catalog.sum(l.settled_s), 0),
        pg_catalog.sum(l.sessions_ended)::bigint
    from session_reaper.latency() l
    group by 1, 2, 3
    union all
    select t.reason, t.gone_le, t.settled_le, t.revocations, t.gone_s, t.settled_s, t.sessions_ended
    from session_reaper.tally t
$$;

comment on function session_reaper.totals() is
    'The totals of all revocations, including pruned ones, in rows that are to be added up, as in session_reaper.tally.';

-- Several daemons may prune at once. Each passes over rows that another holds (P6): rows are added up anyway, and the next
-- pruning combines them again.
create or replace function session_reaper.tally_pruned()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    with before as (
        delete from session_reaper.tally t
        where t.id = any (array(select o.id from session_reaper.tally o for update skip locked))
        returning t.reason, t.gone_le, t.settled_le, t.revocations, t.gone_s, t.settled_s, t.sessions_ended
    ), measured as (
        select session_reaper.reason_of_ours(p.reason) as reason, p.sessions_ended,
            session_reaper.seconds_after(p.changed_at, p.revoked_at) as gone_s,
            session_reaper.seconds_after(p.changed_at, p.settled_at) as settled_s
        from pruned p
    ), added as (
        select m.reason, session_reaper.at_most(m.gone_s), session_reaper.at_most(m.settled_s), 1::bigint,
            coalesce(m.gone_s, 0), coalesce(m.settled_s, 0), m.sessions_ended
        from measured m
        union all
        select b.* from before b
    )
    insert into session_reaper.tally (reason, gone_le, settled_le, revocations, gone_s, settled_s, sessions_ended)
    select a.reason, a.gone_le, a.settled_le, sum(a.revocations), sum(a.gone_s), sum(a.settled_s), sum(a.sessions_ended)
    from added a (reason, gone_le, settled_le, revocations, gone_s, settled_s, sessions_ended)
    group by a.reason, a.gone_le, a.settled_le;
    return null;
end
$$;

comment on function session_reaper.tally_pruned() is 'Keeps the totals of pruned revocations.';

do $$
begin
    if not exists (
        select from pg_catalog.pg_trigger t
        where t.tgrelid = 'session_reaper.revocation'::pg_catalog.regclass and t.tgname = 'tally_pruned')
    then
        create trigger tally_pruned
            after delete on session_reaper.revocation
            referencing old table as pruned
            for each statement
            execute function session_reaper.tally_pruned();
    end if;
end
$$;
