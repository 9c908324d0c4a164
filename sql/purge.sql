-- Deleting sessions that have expired, a batch at a time.

-- Where expiry meant another type before, or another release has migrated, there is a function of other arguments.
do $$
declare
    other pg_catalog.regprocedure;
begin
    for other in
        select p.oid
        from pg_catalog.pg_proc p
        where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace
          and p.proname = 'purge_expired'
          and p.oid is distinct from pg_catalog.to_regprocedure('session_reaper.purge_expired(:expires_type, integer, bigint)')
    loop
        execute pg_catalog.format('drop function %s', other);
    end loop;
end
$$;

-- Takes the oldest ones that nobody holds: whoever saves a session while it expires wins. The deletion cascades to the
-- link, so one whose link somebody holds, as whoever deletes the user does, is passed over, too: nothing here waits for a
-- row while it holds others (P6). What the site's own objects wait for in the deletion cannot be seen beforehand. It gets
-- a moment that is far below any deadlock_timeout, and where that does not do, the batch ends there, so that the app gets
-- its rows back.
--
-- Begins where the last batch left off, because its dead rows are still in the index, and reading past them for every
-- batch is what makes a long purge slower and slower. Where that was is a time, and how many of that time were looked at
-- and left: a whole batch of them must not hide what comes behind. Not a key, which the daemon would have to send (P7).
--
-- One that cannot be deleted, because something of the site's refers to it, must not keep the others (P8); what is caught
-- here is not written to the server's log, where its text could quote a key (P7).
create or replace function session_reaper.purge_expired(
    inout reached :expires_type, most integer, inout passed bigint default 0, out deleted bigint, out refused bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    keys :session_key_base_type[];
    times :expires_type[];
    locked :session_key_base_type[];
    linked :session_key_base_type[];
    unlinked :session_key_base_type[];
    busy :session_key_base_type[];
    free :session_key_base_type[];
    gone :session_key_base_type[] := '{}';
    looked_at bigint;
begin
    deleted := 0;
    refused := 0;
    -- Asked for every batch, because a pass may have begun before the pause did.
    if session_reaper.is_paused() then
        reached := null;
        return;
    end if;
    set constraints all immediate;
    select array_agg(e.session_key), array_agg(e.expires) into keys, times
        from (
            select s.:"session_key" as session_key, :expires_raw as expires
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
        -- Looked at again under the lock: one may have been saved meanwhile. Asked in this way, so that the index on the
        -- time, if it is read, is not read beyond them (tried: with a plain "has expired" it was, to its end, for every
        -- batch). Inside of this block, so that a failure lets go of them all.
        locked := array(
            select s.:"session_key" from :"session_schema".:"session_table" s
            where s.:"session_key" = any (keys) and :expires_raw between times[1] and times[cardinality(times)]
            for update of s skip locked);
        linked := array(
            select l.session_key from session_reaper.user_session l
            where l.session_key = any (locked)
            for update skip locked);
        unlinked := array(select unnest(locked) except select unnest(linked));
        busy := array(select l.session_key from session_reaper.user_session l where l.session_key = any (unlinked));
        free := array(select unnest(locked) except select unnest(busy));
        with purged as (
            delete from :"session_schema".:"session_table" s where s.:"session_key" = any (free)
            returning s.:"session_key" as session_key
        )
        select coalesce(array_agg(p.session_key), '{}') into gone from purged p;
        refused := cardinality(free) - cardinality(gone);
    exception when others then
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
                -- Somebody uses what belongs to it. The next batch begins behind it, and the next pass tries it again.
                when lock_not_available or deadlock_detected then
                    looked_at := i;
                    exit;
                when others then
                    refused := refused + 1;
            end;
        end loop;
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
    'Deletes up to "most" expired sessions whose time is "reached" or later (null: from the first), behind "passed" ones of that time; says where the next batch begins (null: nothing was left), how many are gone and how many could not be deleted. One that somebody uses is neither: it is left to the next pass.';
