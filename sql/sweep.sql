-- Ending sessions. The daemon and, while there is none, the changing transaction itself call the same
-- functions, so that there is one place that deletes a session for a revocation.
--
-- They are planned as nested loops through indexes, whatever the statistics say. These may date from when a
-- table was still empty: reading it whole for each of 10,000 revocations then looks cheap (tried: the commit of a bulk
-- change took 150 s instead of 6 s). Planned so, the estimates make JIT compilation look worthwhile, which it is not.
-- And row security, where a site has it, has to fail here rather than hide sessions.

-- The breach switch alone reads all links, and that is cheapest in one go.
create or replace function session_reaper.condemned_everyone(revocation bigint, most integer)
returns setof :session_key_base_type
language sql
stable
set search_path = pg_catalog, pg_temp
set jit = off
set row_security = off
as $$
    select l.session_key
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    cross join session_reaper.user_session l
    where r.id = revocation
      and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy)
      and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy)
    limit most
$$;

comment on function session_reaper.condemned_everyone(bigint, integer) is
    'Up to "most" of the sessions that a revocation of everybody ends. For the functions of this schema only.';

-- Up to "most" sessions from each source: those of a user, those that are named, and everybody's.
create or replace function session_reaper.condemned(revocations bigint[], most integer)
returns table (revocation_id bigint, session_key :session_key_base_type)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
begin
    return query
        select r.id, l.session_key
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        join session_reaper.user_session l on l.user_id = r.user_id
        where r.id = any (revocations)
          and r.scope = 'user'
          and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy)
          and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy)
        limit most;
    return query
        select k.revocation_id, s.:"session_key"
        from session_reaper.revoked_key k
        join session_reaper.revocation r on r.id = k.revocation_id
        join session_reaper.change c on c.id = r.change_id
        join :"session_schema".:"session_table" s on s.:"session_key" = k.session_key
        left join session_reaper.user_session l on l.session_key = k.session_key
        where k.revocation_id = any (revocations)
          and (not k.grace_over
            or l.session_key is null and not :reads
            or (r.scope = 'all' or r.user_id is null or l.user_id = r.user_id)
                and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy))
        limit most;
    return query
        select r.id, e.session_key
        from session_reaper.revocation r
        cross join lateral session_reaper.condemned_everyone(r.id, most) e (session_key)
        where r.id = any (revocations)
          and r.scope = 'all';
end
$$;

comment on function session_reaper.condemned(bigint[], integer) is
    'Sessions that these revocations end and that still exist. Keys are bearer credentials: for the functions of this schema only.';

-- Which of these revocations still have a session to end. Without a bound for the users', since one revocation's many must not
-- hide another one's few.
--
-- What waits to be read is looked at first, and links only afterwards, by a statement that sees more: a reader may commit
-- in between, which takes a session off the queue and links it. The other way round neither look would find it (P1).
create or replace function session_reaper.unfinished(revocations bigint[])
returns bigint[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    unread bigint[];
begin
    unread := array(
        select r.id
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.id = any (revocations)
          and session_reaper.may_be_unread(c.xid, c.begun_at, c.at, r.policy));
    return array(
        select u.id from pg_catalog.unnest(unread) as u (id)
        union
        select c.revocation_id
        from session_reaper.condemned(
            array(
                select r.id from session_reaper.revocation r where r.id = any (revocations) and r.scope <> 'all'),
            null) c
        union
        -- One by one, so that one's session does not stand for all of them.
        select r.id
        from session_reaper.revocation r
        where r.id = any (revocations)
          and r.scope = 'all'
          and exists (select from session_reaper.condemned(array[r.id], 1))
        union
        -- Nor does one count as ended that the cache may still know (P5).
        select a.id from session_reaper.awaiting_eviction(revocations) a (id));
end
$$;

comment on function session_reaper.unfinished(bigint[]) is
    'Those of these revocations that a sweep left something behind of, because it was locked, has only just appeared or may still be cached.';

-- Deletes those of these sessions that are free and, now that they are locked, still to be ended: one may have changed
-- hands meanwhile (P2), which can also stand in data that nobody has read yet. A link that somebody else holds is passed over with its session, because the cascade would
-- wait for it while we hold other rows (P6). "remember" notes the keys of a store whose in-flight requests may write them
-- back (P1).
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
                  and (not n.grace_over
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
