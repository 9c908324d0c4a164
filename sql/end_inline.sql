-- Ending sessions in the changing transaction itself, while there is no daemon (P4).

-- Only these constraints: the others are the app's own business.
create or replace function session_reaper.check_references(at_once boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    names text;
begin
    select string_agg(format('%I.%I', n.nspname, c.conname), ', ') into names
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_namespace n on n.oid = c.connamespace
    where c.confrelid = cast(:session_relation as regclass)
      and c.condeferrable and c.condeferred;
    if names is not null then
        execute format('set constraints %s %s', names, case when at_once then 'immediate' else 'deferred' end);
    end if;
end
$$;

comment on function session_reaper.check_references(boolean) is
    'Has deferred foreign keys on the session table checked at once, or at the commit again.';

-- Bounded, so that a reset of a million passwords does not become a million deletes inside one transaction.
-- What is over the bound, locked or not linked is left to the daemon, which settles this like any other.
create or replace function session_reaper.end_inline(of_change bigint)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
declare
    fresh bigint[];
    most bigint := 10000;
begin
    -- The stamp fires several times a transaction; the bound is for all of them together.
    select most - greatest(pg_catalog.count(*), pg_catalog.sum(r.sessions_ended)) into most
        from session_reaper.revocation r
        where r.change_id = of_change and r.tried_inline;
    with tried as (
        update session_reaper.revocation r
        set tried_inline = true
        where r.id = any (array(
            select f.id from session_reaper.revocation f
            where f.change_id = of_change and not f.tried_inline
            order by f.id limit greatest(most, 0)))
        returning r.id
    )
    select pg_catalog.array_agg(t.id) into fresh from tried t;
    if fresh is not null then
        -- A foreign key of the site's on its sessions, deferred as Django makes them all, would fail the commit: the
        -- user could not change the password. Checked at once, it only keeps its own session.
        perform session_reaper.check_references(true);
        perform session_reaper.sweep(fresh, most::integer, true);
        perform session_reaper.check_references(false);
    end if;
exception
    -- Under REPEATABLE READ a session may have been saved since the app's snapshot. The daemon will end it.
    when serialization_failure or deadlock_detected or lock_not_available then
        null;
end
$$;

comment on function session_reaper.end_inline(bigint) is
    'Ends, inside the changing transaction, up to 10,000 sessions that are linked and free (P4).';
