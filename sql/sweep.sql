-- Ending sessions. The daemon and, while there is none, the changing transaction itself call the same
-- functions, so that there is one place that deletes a session for a revocation.
--
-- They are planned as nested loops through indexes, whatever the statistics say. These may date from when a
-- table was still empty: reading it whole for each of 10,000 revocations then looks cheap (tried: the commit of a bulk
-- change took 150 s instead of 6 s). Planned so, the estimates make JIT compilation look worthwhile, which it is not.
-- And row security, where a site has it, has to fail here rather than hide sessions.

-- Deletes those of these sessions that are free and, now that they are locked, still to be ended: one may have changed
-- hands meanwhile (P2), which can also stand in data that nobody has read yet. A link that somebody else holds is passed
-- over with its session, because the cascade would wait for it while we hold other rows (P6). "remember" notes the keys
-- of a store whose in-flight requests may write them back (P1).
create or replace function session_reaper.end_together(keys :session_key_base_type[], owners bigint[], remember boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
declare
    locked :session_key_base_type[];
    busy :session_key_base_type[];
    unread :session_key_base_type[];
    ended_for bigint[];
    counts bigint[];
    remembered_for bigint[];
begin
    locked := array(
        select s.:"session_key" from :"session_schema".:"session_table" s
        where s.:"session_key" = any (keys)
        order by s.:"session_key"
        for update skip locked);
    busy := array(
        select l.session_key from session_reaper.user_session l where l.session_key = any (locked)
        except
        select l.session_key
        from (
            select h.session_key from session_reaper.user_session h
            where h.session_key = any (locked)
            order by h.session_key
            for update skip locked
        ) l);
    unread := array(
        select u.session_key
        from session_reaper.queue_reading q
        cross join lateral session_reaper.unread_since(q.read_to) u
        where u.session_key = any (locked));
    with free as materialized (
        select k.session_key, pg_catalog.min(k.revocation_id) as revocation_id
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners)) as k (session_key, revocation_id)
        join session_reaper.revocation r on r.id = k.revocation_id
        join session_reaper.change c on c.id = r.change_id
        left join session_reaper.user_session l on l.session_key = k.session_key
        where k.session_key = any (locked)
          and k.session_key <> all (busy)
          and (
            (r.scope = 'all' or r.scope = 'user' and l.user_id = r.user_id)
                and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy)
                and not session_reaper.is_kept(k.session_key, r.keep_digest, r.policy)
                -- Whose it is now, only the reader can tell. The changing transaction has none that it could wait for.
                and not (l.read and c.xid <> pg_catalog.pg_current_xact_id() and k.session_key = any (unread))
            or exists (
                select
                from session_reaper.revoked_key n
                where n.revocation_id = r.id and n.session_key = k.session_key
                  -- After the grace the key counts as new, as old as its login (P2): what a transaction writes back that is
                  -- older than the change still ends. Without a link, where sessions are read, it is nobody's.
                  -- A deleted user's may be somebody else's since, whom only the reader knows.
                  and (not n.grace_over
                        and (not session_reaper.is_deletion(r.scope, r.reason)
                            or (l.user_id is null or l.user_id = r.user_id)
                                and not (n.read and c.xid <> pg_catalog.pg_current_xact_id()
                                    and k.session_key = any (unread)))
                    or l.session_key is null and not :reads
                    or (r.scope = 'all' or r.user_id is null or l.user_id = r.user_id)
                        and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy)
                        and not (l.read and k.session_key = any (unread)))))
        group by k.session_key
    ), deleted as (
        delete from :"session_schema".:"session_table" s
        using free f
        where s.:"session_key" = f.session_key
        returning f.revocation_id, f.session_key
    ), remembered as (
        insert into session_reaper.revoked_key as k (revocation_id, session_key, ended)
        select d.revocation_id, d.session_key, true from deleted d where remember
        on conflict on constraint revoked_key_pkey do update set ended = true where not k.ended
        returning k.revocation_id
    ), counted as (
        select d.revocation_id, pg_catalog.count(*) as sessions from deleted d group by d.revocation_id
    )
    select pg_catalog.array_agg(n.revocation_id), pg_catalog.array_agg(n.sessions),
           array(select k.revocation_id from remembered k)
        into ended_for, counts, remembered_for
        from counted n;
    -- A statement of its own: had it to wait for a replica that looks at the same revocation, PostgreSQL would
    -- plan its row anew and could not run the deletion a second time.
    update session_reaper.revocation r
    set sessions_ended = r.sessions_ended + n.sessions,
        -- Only a key that is ended for the first time prolongs the grace: or a user who logs in anew under the
        -- same key would keep it open for as long as he tries. It is not dated here, because this
        -- transaction may commit much later; the settler does that once it can see it.
        remembered_at = case when r.id = any (remembered_for) then 'infinity' else r.remembered_at end
    from rows from (pg_catalog.unnest(ended_for), pg_catalog.unnest(counts)) as n (revocation_id, sessions)
    where r.id = n.revocation_id;
    return (select coalesce(pg_catalog.sum(n), 0) from pg_catalog.unnest(counts) n);
end
$$;

comment on function session_reaper.end_together(:session_key_base_type[], bigint[], boolean) is
    'Deletes those of these sessions that nobody holds, and counts them on the revocations in "owners"; returns how many.';

-- One session that cannot be deleted, because a trigger of the site's objects for instance, must hold up neither
-- the others nor the change (P8). It stays, keeps its revocation from settling, and is tried again. What is
-- caught here is not written to the server's log, where its text could quote a key (P7).
create or replace function session_reaper.end_free(
    keys :session_key_base_type[], owners bigint[], remember boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ended bigint := 0;
begin
    return session_reaper.end_together(keys, owners, remember);
exception when others then
    for i in 1 .. pg_catalog.cardinality(keys) loop
        begin
            ended := ended + session_reaper.end_together(array[keys[i]], array[owners[i]], remember);
        exception when others then
            update session_reaper.revocation r set last_error = sqlstate where r.id = owners[i];
        end;
    end loop;
    return ended;
end
$$;

comment on function session_reaper.end_free(:session_key_base_type[], bigint[], boolean) is
    'Like end_together(), and where that fails, one by one: what cannot be deleted stays, with its SQLSTATE on the revocation.';

-- Never waits for a row lock: it may hold others (P6).
create or replace function session_reaper.sweep(revocations bigint[], most integer, remember boolean)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    keys :session_key_base_type[];
    owners bigint[];
begin
    if session_reaper.is_paused() then
        return 0;
    end if;
    select pg_catalog.array_agg(c.session_key), pg_catalog.array_agg(c.revocation_id) into keys, owners
        from session_reaper.condemned(revocations, most) c;
    return case when keys is null then 0 else session_reaper.end_free(keys, owners, remember) end;
end
$$;

comment on function session_reaper.sweep(bigint[], integer, boolean) is
    'Ends up to "most" sessions of these revocations, passing over locked rows; returns how many.';

-- Called after a sweep that came later than the grace, so that whatever was written back in time has been ended; what that
-- had to pass over stays as it is.
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
      -- The transaction's own time, which is before the sweep.
      and r.remembered_at + grace_s * interval '1 second' <= pg_catalog.now()
      and not exists (select from :"session_schema".:"session_table" s where s.:"session_key" = k.session_key)
$$;

comment on function session_reaper.end_grace(bigint[], double precision) is
    'Has ended sessions whose write-back grace is over count as new when they appear again.';

-- The breach switch walks the links in key order, so that millions of sessions are read once and not anew for
-- every batch, and a restart goes on where it was; the rows that it passes over are found again before the
-- revocation settles.
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
    select w.session_key into walked_to from session_reaper.walk w where w.revocation_id = revocation;
    keys := array(
        select l.session_key
        from session_reaper.user_session l
        where walked_to is null or l.session_key > walked_to
        order by l.session_key
        limit most);
    more := pg_catalog.cardinality(keys) = most;
    ended := session_reaper.end_free(
        keys, pg_catalog.array_fill(revocation, array[pg_catalog.cardinality(keys)]), remember);
    if more then
        insert into session_reaper.walk as w (revocation_id, session_key) values (revocation, keys[most])
            on conflict on constraint walk_pkey do update set session_key = excluded.session_key;
    else
        delete from session_reaper.walk w where w.revocation_id = revocation;
    end if;
end
$$;

comment on function session_reaper.sweep_everyone(bigint, integer, boolean) is
    'Ends the older ones of the next "most" linked sessions; says how many, and whether there are more.';

-- Skipping alone starves: two requests that hold a row in overlapping turns keep every sweep off it, and so does one that
-- saves its session faster than the queue is read. So this takes one session and waits for its lock, holding no other;
-- the caller's lock_timeout bounds the wait. Then nobody can write it until the caller has read these writes, linked the
-- session anew and swept. Where somebody else reads the queue just now, they are left to him.
create or replace function session_reaper.take_contested(revocation bigint, out place text, out data bytea)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    contested :session_key_base_type;
begin
    -- First, and only if nobody has it: a sweep counts on this row, and must not wait for it with sessions in hand.
    perform from session_reaper.revocation r where r.id = revocation for update skip locked;
    if not found then
        return;
    end if;
    select d.session_key into contested
    from session_reaper.condemned(array[revocation], 1000) d
    order by pg_catalog.random()
    limit 1;
    perform from :"session_schema".:"session_table" s where s.:"session_key" = contested for update;
    perform from session_reaper.queue_reading for update skip locked;
    if not found then
        return;
    end if;
    return query
        select u.place::text, :data
        from session_reaper.queue_reading q
        cross join lateral session_reaper.unread_since(q.read_to) u
        left join :"session_schema".:"session_table" s on s.:"session_key" = u.session_key
        where u.session_key = contested;
end
$$;

comment on function session_reaper.take_contested(bigint) is
    'Waits for the lock of one session that sweeps had to skip; returns those of its writes that nobody has read, for link_unread() in the same transaction.';
