-- Ending sessions in the changing transaction itself, while there is no daemon (P4).

-- What a deleted session leaves to the commit: constraints of the session table, and of the tables that a foreign key's
-- cascade reaches from there. Only these; the others are the app's business.
create or replace function session_reaper.deferred_constraints()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive reached (relation) as (
        select cast(:session_relation as regclass)::oid
        union
        select c.conrelid
        from reached r
        join pg_catalog.pg_constraint c on c.confrelid = r.relation
        -- Cascade, set null, set default.
        where c.contype = 'f' and c.confdeltype in ('c', 'n', 'd')
    )
    select pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')
    from reached r
    join pg_catalog.pg_constraint c on r.relation in (c.confrelid, c.conrelid)
    join pg_catalog.pg_namespace n on n.oid = c.connamespace
    where c.condeferrable and c.condeferred
$$;

comment on function session_reaper.deferred_constraints() is
    'Names of the deferred constraints that deleting a session may violate; null if there are none.';

create or replace function session_reaper.check_deferred(at_once boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    names text := session_reaper.deferred_constraints();
begin
    if names is not null then
        execute pg_catalog.format('set constraints %s %s', names, case when at_once then 'immediate' else 'deferred' end);
    end if;
end
$$;

comment on function session_reaper.check_deferred(boolean) is
    'Sets deferred constraints that deleting a session may violate to be checked at once, or at the commit again.';

-- The only way to end sessions inside a transaction of the app. A failure is noted on the revocations, by its SQLSTATE
-- alone, and the work is left to the daemon: the requests are rows. That includes the app's own time-out, which must not
-- fail the app because of our work; a cancel by a person still cancels. An error that is caught here is not written to the
-- server's log (P7).
create or replace function session_reaper.sweep_inline(revocations bigint[], most integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- Do not wait for a table that is being altered (P6).
set lock_timeout = '400ms'
as $$
begin
    -- A constraint of the site on its sessions, deferred as Django makes them all, would fail the commit: the user could
    -- not change the password. Checked at once, it only keeps the session that it concerns.
    perform session_reaper.check_deferred(true);
    perform session_reaper.sweep(revocations, most, true);
    perform session_reaper.check_deferred(false);
exception
    when query_canceled then
        if not session_reaper.is_out_of_time() then
            raise;
        end if;
        update session_reaper.revocation r set last_error = sqlstate where r.id = any (revocations);
    when others or assert_failure then
        update session_reaper.revocation r set last_error = sqlstate where r.id = any (revocations);
end
$$;

comment on function session_reaper.sweep_inline(bigint[], integer) is
    'Ends up to "most" sessions of these revocations inside the app''s transaction; notes failures on them.';

-- Limited, so that a reset of a million passwords does not become a million deletes inside one transaction. Sessions beyond
-- the limit, locked or not linked are left to the daemon, which settles this change like any other.
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
    -- The stamp fires several times per transaction; the limit is for all of them together.
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
        perform session_reaper.sweep_inline(fresh, most::integer);
    end if;
end
$$;

comment on function session_reaper.end_inline(bigint) is
    'Ends, inside the changing transaction, up to 10,000 sessions that are linked and free (P4).';
