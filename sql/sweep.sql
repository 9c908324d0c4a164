-- Ending sessions. The daemon and, while there is none, the changing transaction itself call the same functions, so that
-- only one place deletes a session for a revocation. Planned as sql/lock.sql describes.

-- An earlier failure is cleared unless it happens again. A lock failure is cleared when the session is gone.
create or replace function session_reaper.forget_failures(revocations bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
    update session_reaper.revocation r
    set last_error = null
    where r.id = any (revocations) and r.last_error <> '55P03';
end
$$;

comment on function session_reaper.forget_failures(bigint[]) is
    'Clears the failures of these revocations before they are swept again. For the functions of this schema only.';

-- For the changing transaction. It locks nothing before end_free(), which can catch a failure to lock: under REPEATABLE
-- READ a session that the daemon has changed meanwhile cannot be locked. Never waits for a row lock, because it may hold
-- others (P6).
create or replace function session_reaper.sweep(revocations bigint[], most integer, remember boolean)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    keys :session_key_base_type[];
    owners bigint[];
    ended bigint;
begin
    if session_reaper.is_paused() then
        return 0;
    end if;
    perform session_reaper.forget_failures(revocations);
    select pg_catalog.array_agg(c.session_key), pg_catalog.array_agg(c.revocation_id) into keys, owners
        from session_reaper.condemned(revocations, most) c;
    if keys is null then
        return 0;
    end if;
    ended := session_reaper.end_free(keys, owners, remember, false);
    perform session_reaper.drop_links_to_nothing(keys);
    return ended;
end
$$;

comment on function session_reaper.sweep(bigint[], integer, boolean) is
    'Ends up to "most" sessions of these revocations, passing over locked rows; returns how many.';

-- Called after a sweep that came later than the grace, so that every session written back in time has been ended; sessions
-- that the sweep had to pass over stay as they are.
create or replace function session_reaper.end_grace(revocations bigint[], grace_s double precision)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    update session_reaper.revoked_key k
    set grace_over = true
    from session_reaper.revocation r
    where r.id = any (revocations)
      and k.revocation_id = r.id
      and k.ended
      and not k.grace_over
      -- The transaction's start time, which is before the sweep.
      and r.remembered_at + grace_s * interval '1 second' <= pg_catalog.now()
      and not exists (select from :"session_schema".:"session_table" s where s.:"session_key" = k.session_key)
$$;

comment on function session_reaper.end_grace(bigint[], double precision) is
    'Makes ended sessions whose write-back grace is over count as new when they appear again.';

-- The breach switch walks the links in key order. So millions of sessions are read once and not anew for every batch, and
-- after a restart the walk continues where it was. The rows that it passes over are found again before the revocation
-- settles.
create or replace function session_reaper.sweep_everyone(
    revocation bigint, most integer, remember boolean, out ended bigint, out more boolean)
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
    walked_to :session_key_base_type;
    keys :session_key_base_type[];
begin
    -- As sweep_free() does.
    set constraints all immediate;
    select w.session_key into walked_to from session_reaper.walk w where w.revocation_id = revocation;
    keys := array(
        select l.session_key
        from session_reaper.user_session l
        where walked_to is null or l.session_key > walked_to
        order by l.session_key
        limit most);
    more := pg_catalog.cardinality(keys) = most;
    ended := session_reaper.end_free(
        keys, pg_catalog.array_fill(revocation, array[pg_catalog.cardinality(keys)]), remember, false);
    perform session_reaper.drop_links_to_nothing(keys);
    if more then
        insert into session_reaper.walk as w (revocation_id, session_key) values (revocation, keys[most])
            on conflict on constraint walk_pkey do update set session_key = excluded.session_key;
    else
        delete from session_reaper.walk w where w.revocation_id = revocation;
    end if;
end
$$;

comment on function session_reaper.sweep_everyone(bigint, integer, boolean) is
    'Ends the older ones of the next "most" linked sessions; returns how many, and whether there are more.';

-- Skipping alone can starve: two requests that hold a row in overlapping turns keep every sweep off it, and so does one
-- that saves its session faster than the queue is read. So this takes one session and waits for its lock, holding no other;
-- the caller's lock_timeout limits the wait. Then no app can write the session until the caller has read these writes,
-- linked the session anew and swept. If another daemon is reading the queue, these writes are left to it.
create or replace function session_reaper.take_contested(
    revocation bigint, out place text, out data bytea, out is_refused boolean)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    contested :session_key_base_type;
begin
    -- First, and only if it is free: a sweep updates the counts on this row, and must not wait for it while it holds
    -- sessions.
    perform from session_reaper.revocation r where r.id = revocation for update skip locked;
    if not found then
        return;
    end if;
    select d.session_key into contested
    from session_reaper.condemned(array[revocation], 1000) d
    order by pg_catalog.random()
    limit 1;
    perform from :"session_schema".:"session_table" s where s.:"session_key" = contested for update;
    perform from session_reaper.drain for update skip locked;
    if not found then
        return;
    end if;
    return query
        select u.place::text, d.data, coalesce(d.is_refused, false)
        from (
            select w.place, w.session_key, pg_catalog.row_number() over (order by w.place) as number
            from session_reaper.drain q
            cross join lateral session_reaper.pending_since(q.drained_to) w
            where w.session_key = contested
        ) u
        left join :"session_schema".:"session_table" s on s.:"session_key" = u.session_key and u.number = 1
        left join lateral session_reaper.data_of(:raw_data) d on u.number = 1
        order by u.number;
end
$$;

comment on function session_reaper.take_contested(bigint) is
    'Waits for the lock of one session that sweeps had to skip; returns those of its writes that have not been read, the first with its data, for link_pending() in the same transaction.';
