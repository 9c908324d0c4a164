-- What happens when the server's clock has been set back, which a failover to a standby can do as well.

-- A transaction that began before the clock was set back has a later time than a change made afterwards, though it may have
-- read the password before that change (P1). So as long as such a transaction runs, changes count as made no earlier than
-- the clock had shown; sql/change.sql stamps them that way. Changes stamped before this was noticed are stamped anew, and
-- revocations that have settled meanwhile are looked at again.
create or replace function session_reaper.heed_step_back(behind_s double precision, unseen_s double precision, unseen_from xid8)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    shown_before constant timestamptz := pg_catalog.clock_timestamp() + behind_s * interval '1 second';
    stamped bigint[];
begin
    insert into session_reaper.clock_step (had_shown, virtual_transactions)
    select shown_before, coalesce(pg_catalog.array_agg(l.virtualxid), '{}')
    from pg_catalog.pg_locks l
    where l.locktype = 'virtualxid' and l.granted and l.pid <> pg_catalog.pg_backend_pid();
    with again as (
        update session_reaper.change c
        set at = shown_before, stamps = 3
        where c.xid >= unseen_from
          and c.at < shown_before
          and c.at >= pg_catalog.clock_timestamp() - unseen_s * interval '1 second'
        returning c.id
    )
    select pg_catalog.array_agg(a.id) into stamped from again a;
    update session_reaper.revocation r
    set changed_at = shown_before
    where r.change_id = any (stamped) and r.changed_at is not null;
    update session_reaper.revocation r
    set :reopened
    where r.change_id = any (stamped) and r.state = 'settled';
end
$$;

comment on function session_reaper.heed_step_back(double precision, double precision, xid8) is
    'The clock is "behind_s" behind what it would show. It was last looked at "unseen_s" ago, when transactions from "unseen_from" on had not ended.';

-- The newest time that the clock had shown, as long as a transaction from before it was set back runs.
create or replace function session_reaper.latest_time()
returns timestamptz
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select greatest(pg_catalog.clock_timestamp(), (select pg_catalog.max(s.had_shown) from session_reaper.clock_step s))
$$;

comment on function session_reaper.latest_time() is
    'What the clock shows, or showed before it was set back. For the functions of this schema only.';

-- A transaction that is left open for ever must not end newer logins for as long, hence the day.
create or replace function session_reaper.forget_steps()
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    delete from session_reaper.clock_step s
    where s.server_started_at <> pg_catalog.pg_postmaster_start_time()
       or s.noticed_at not between pg_catalog.clock_timestamp() - interval '1 day' and pg_catalog.clock_timestamp()
       or not s.virtual_transactions && array(
            select l.virtualxid from pg_catalog.pg_locks l where l.locktype = 'virtualxid' and l.granted)
$$;

comment on function session_reaper.forget_steps() is
    'Forgets that the clock was set back once no transaction from before runs any more.';

-- The daemon would wait for a time that the clock had reached before it was set back, or that a wrong clock wrote: it would
-- try, evict and compare nothing again until then. "change.at" and the columns that hold a login's age stay, because they
-- are compared with each other; newer_from ensures that nothing waits for them.
create or replace function session_reaper.times_kept()
returns table (relation text, what text, instead timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    values
        ('revocation', 'next_attempt_at', '-infinity'::timestamptz),
        ('revocation', 'revoked_at', now()),
        ('revocation', 'remembered_at', now()),
        ('revocation', 'settled_at', now()),
        ('horizon', 'captured_at', now()),
        ('pending_eviction', 'evicted_at', now()),
        ('eviction', 'failing_since', now()),
        ('eviction', 'confirmed_at', now()),
        ('hash_check', 'verified_to', '-infinity'),
        ('user_session', 'linked_at', now()),
        ('backfill', 'begun_at', now()),
        ('backfill', 'finished_at', now()),
        ('purge', 'finished_at', now()),
        ('daemon', 'since', now()),
        ('trouble', 'since', now()),
        ('trouble', 'last_at', now()),
        ('missed', 'noted_at', now()),
        ('pause', 'since', now())
$$;

comment on function session_reaper.times_kept() is
    'Every time in our tables that something waits for or counts from, and its replacement if it lies ahead.';

-- Passes over rows that another transaction holds (P6), and rows beyond a batch; the caller asks again.
create or replace function session_reaper.unset_times_ahead(most integer default 10000)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    kept record;
    ahead bigint;
    unset bigint;
    is_left boolean := false;
begin
    for kept in select k.* from session_reaper.times_kept() k loop
        execute pg_catalog.format(
            'select count(*) from session_reaper.%1$I t where t.%2$I > clock_timestamp() and t.%2$I < ''infinity''',
            kept.relation, kept.what) into ahead;
        continue when ahead = 0;
        execute pg_catalog.format(
            'update session_reaper.%1$I u set %2$I = $1 where u.ctid = any (array(
                select t.ctid from session_reaper.%1$I t where t.%2$I > clock_timestamp() and t.%2$I < ''infinity''
                limit $2 for update skip locked))',
            kept.relation, kept.what) using kept.instead, most;
        get diagnostics unset = row_count;
        is_left := is_left or unset < ahead;
    end loop;
    return is_left;
end
$$;

comment on function session_reaper.unset_times_ahead(integer) is
    'Corrects times that lie ahead of the server''s clock; returns whether some are left.';
