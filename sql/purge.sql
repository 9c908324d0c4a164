-- Deleting sessions that have expired, a batch at a time.

-- If expiry had another type before, or another release has migrated, a function with other arguments exists.
do $$
declare
    other pg_catalog.regprocedure;
begin
    for other in
        select p.oid
        from pg_catalog.pg_proc p
        where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace
          and p.proname in ('purge_expired', 'purge_each', 'purge_together')
          and p.oid is distinct from pg_catalog.to_regprocedure('session_reaper.purge_expired(:expires_type, integer, bigint)')
          and p.oid is distinct from
              pg_catalog.to_regprocedure('session_reaper.purge_each(:session_key_base_type[], :expires_type[])')
          and p.oid is distinct from
              pg_catalog.to_regprocedure('session_reaper.purge_together(tid[], :session_key_base_type[], :expires_type[])')
    loop
        execute pg_catalog.format('drop function %s', other);
    end loop;
end
$$;

-- A session that cannot be deleted, because an object of the site refers to it, must not keep the others from being deleted
-- (P8). An error that is caught here is not written to the server's log, where its text could quote a key (P7).
create or replace function session_reaper.purge_each(
    keys :session_key_base_type[], times :expires_type[],
    out gone :session_key_base_type[], out refused bigint, out looked_at bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    gone := '{}';
    refused := 0;
    looked_at := cardinality(keys);
    for i in 1 .. looked_at loop
        begin
            perform from :"session_schema".:"session_table" s
                where s.:"session_key" = keys[i] and :expires_raw between times[1] and times[cardinality(times)]
                for update of s skip locked;
            continue when not found;
            perform from session_reaper.user_session l where l.session_key = keys[i] for update skip locked;
            continue when not found
                and exists (select from session_reaper.user_session l where l.session_key = keys[i]);
            delete from :"session_schema".:"session_table" s where s.:"session_key" = keys[i];
            if found then
                gone := gone || keys[i];
            else
                refused := refused + 1;
            end if;
        exception
            -- Another transaction uses something that belongs to it. The next batch begins behind it, and the next pass
            -- tries it again.
            when lock_not_available or deadlock_detected then
                looked_at := i;
                exit;
            when others or assert_failure then
                refused := refused + 1;
        end;
    end loop;
end
$$;

comment on function session_reaper.purge_each(:session_key_base_type[], :expires_type[]) is
    'Deletes these sessions one by one; returns which are gone, how many could not be deleted, and how many it looked at until one was in use. For purge_expired() only.';

-- Nothing here waits for a row while it holds others (P6). The deletion cascades to the link, so a session whose link is
-- held, for instance by a transaction that deletes the user, is passed over like a session that is held itself.
--
-- One plan for all batches, through indexes, as in sql/lock.sql. It also applies to PostgreSQL's own statement behind the
-- foreign key, which was planned anew for each session.
create or replace function session_reaper.purge_together(
    places tid[], keys :session_key_base_type[], times :expires_type[],
    out gone :session_key_base_type[], out refused bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_variable
declare
    free :session_key_base_type[];
begin
    -- Checked again under the lock: a session may have been saved meanwhile. Then its new version is elsewhere, and its old
    -- place may hold another session, so key and time are compared, too. Sessions are found by their places, because
    -- finding them by key took as long as the deletion. "is true" keeps the planner from the indexes, whose plan would be
    -- kept for larger batches.
    free := array(
        select s.:"session_key" from :"session_schema".:"session_table" s
        where s.ctid = any (places) and (s.:"session_key" in (select unnest(keys))) is true
          and (:expires_raw between times[1] and times[cardinality(times)]) is true
        for update of s skip locked);
    free := session_reaper.with_free_links(free);
    with purged as (
        delete from :"session_schema".:"session_table" s where s.:"session_key" = any (free)
        returning s.:"session_key" as session_key
    )
    select coalesce(array_agg(p.session_key), '{}') into gone from purged p;
    refused := cardinality(free) - cardinality(gone);
end
$$;

comment on function session_reaper.purge_together(tid[], :session_key_base_type[], :expires_type[]) is
    'Deletes those of these sessions that are not locked: all, or none if one fails; returns which are gone, and how many stayed although nothing failed. For purge_expired() only.';

-- Takes the oldest sessions that are not locked: an app that saves a session while it expires wins. Locks that the site's
-- own objects wait for in the deletion cannot be seen beforehand. They get a moment that is far below any deadlock_timeout;
-- if that is not enough, the batch ends there, so that the app gets its rows back.
--
-- Begins where the last batch left off, because its dead rows are still in the index, and reading past them for every batch
-- is what makes a long purge slower and slower. That place is a time, and the number of sessions of that time that were
-- looked at and left: a whole batch of them must not hide what comes after. It is not a key, which the daemon would have to
-- send (P7).
create or replace function session_reaper.purge_expired(
    inout reached :expires_type, most integer, inout passed bigint default 0, out deleted bigint, out refused bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    places tid[];
    keys :session_key_base_type[];
    times :expires_type[];
    gone :session_key_base_type[] := '{}';
    looked_at bigint;
begin
    deleted := 0;
    refused := 0;
    -- Checked for every batch, because a pass may have begun before the pause.
    if session_reaper.is_paused() then
        reached := null;
        return;
    end if;
    set constraints all immediate;
    select array_agg(e.place), array_agg(e.session_key), array_agg(e.expires) into places, keys, times
        from (
            select s.ctid as place, s.:"session_key" as session_key, :expires_raw as expires
            from :"session_schema".:"session_table" s
            where :is_expired and :expires_raw >= coalesce(reached, :expires_least)
            order by :expires_raw, s.:"session_key"
            offset passed
            limit most
        ) e;
    if keys is null then
        reached := null;
        return;
    end if;
    looked_at := cardinality(keys);
    set local lock_timeout = '10ms';
    begin
        -- Inside this block, so that a failure releases all locks.
        select t.gone, t.refused into gone, refused from session_reaper.purge_together(places, keys, times) t;
    exception when others or assert_failure then
        select e.gone, e.refused, e.looked_at into gone, refused, looked_at from session_reaper.purge_each(keys, times) e;
    end;
    deleted := cardinality(gone);
    passed := case when times[looked_at] = reached then passed else 0 end + (
        select count(*)
        from (
            select k.session_key
            from rows from (unnest(keys), unnest(times)) with ordinality as k (session_key, expires, place)
            where k.place <= looked_at and k.expires = times[looked_at]
            except
            select unnest(gone)
        ) l);
    reached := times[looked_at];
end
$$;

comment on function session_reaper.purge_expired(:expires_type, integer, bigint) is
    'Deletes up to "most" expired sessions whose time is "reached" or later (null: from the first), after "passed" ones of that time; returns where the next batch begins (null: nothing was left), how many are gone and how many could not be deleted. One in use is neither: it is left to the next pass.';
