-- Ending sessions. The daemon and, while there is none, the changing transaction itself call the same
-- functions, so that there is one place that deletes a session for a revocation.
--
-- They are planned as nested loops through indexes, whatever the statistics say. These may date from when a
-- table was still empty: reading it whole for each of 10,000 revocations then looks cheap (tried: the commit of a bulk
-- change took 150 s instead of 6 s). Planned so, the estimates make JIT compilation look worthwhile, which it is not.
-- And so there is one plan for all calls, which is kept: planning anew took longer than ending a user's sessions. The
-- setting holds for PostgreSQL's own statement behind a foreign key, too, which was planned anew for each session.
-- And row security, where a site has it, has to fail here rather than hide sessions.

create or replace function session_reaper.lock_sessions(keys :session_key_base_type[])
returns :session_key_base_type[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
begin
    return array(
        select s.:"session_key" from :"session_schema".:"session_table" s
        where s.:"session_key" = any (keys)
        order by s.:"session_key"
        for update skip locked);
end
$$;

comment on function session_reaper.lock_sessions(:session_key_base_type[]) is
    'Locks those of these sessions that nobody holds; returns them. For the functions of this schema only.';

-- A link that somebody else holds is passed over with its session, because the cascade would wait for it while we hold other
-- rows (P6).
create or replace function session_reaper.with_free_links(locked :session_key_base_type[])
returns :session_key_base_type[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    linked :session_key_base_type[];
    unlinked :session_key_base_type[];
    busy :session_key_base_type[];
begin
    linked := array(
        select l.session_key from session_reaper.user_session l
        where l.session_key = any (locked)
        order by l.session_key
        for update skip locked);
    if pg_catalog.cardinality(linked) < pg_catalog.cardinality(locked) then
        unlinked := array(select pg_catalog.unnest(locked) except select pg_catalog.unnest(linked));
        busy := array(select l.session_key from session_reaper.user_session l where l.session_key = any (unlinked));
        -- Hardly ever: most of these have no link, and nobody holds one.
        if pg_catalog.cardinality(busy) > 0 then
            return array(select pg_catalog.unnest(locked) except select pg_catalog.unnest(busy));
        end if;
    end if;
    return locked;
end
$$;

comment on function session_reaper.with_free_links(:session_key_base_type[]) is
    'Locks the links of these locked sessions, and returns those whose link nobody else holds. For the functions of this schema only.';

-- Looked at again once they are locked: a session may have changed hands meanwhile (P2), which can also stand in data that nobody
-- has read yet. Joined in the order that is written here: old statistics would have all changes joined with all revocations first.
-- Sets of keys are asked for so that they are hashed: "= any" would look through all of them for each session, and a plain
-- "in" would be a join.
create or replace function session_reaper.still_condemned(
    free_keys :session_key_base_type[], keys :session_key_base_type[], owners bigint[])
returns table (session_key :session_key_base_type, revocation_id bigint, user_id :user_key_type)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set join_collapse_limit = 1
set jit = off
set row_security = off
as $$
declare
    pending constant :session_key_base_type[] := session_reaper.pending_among(free_keys);
begin
    return query
        select k.session_key, pg_catalog.min(k.revocation_id), (pg_catalog.array_agg(l.user_id))[1]
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners)) as k (session_key, revocation_id)
        join session_reaper.revocation r on r.id = k.revocation_id
        join session_reaper.change c on c.id = r.change_id
        left join session_reaper.user_session l on l.session_key = k.session_key
        where (k.session_key in (select pg_catalog.unnest(free_keys))) is true
          and (
            (r.scope = 'all' or r.scope = 'user' and l.user_id = r.user_id)
                and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
                and not session_reaper.is_kept(k.session_key, r.keep_digest, r.policy)
                -- Whose it is now, only the linker can tell: it may have changed hands since. Where there is no daemon, too:
                -- then the changing transaction leaves it to the next one.
                and not (l.from_data and k.session_key in (select pg_catalog.unnest(pending)))
            or exists (
                select
                from session_reaper.revoked_key n
                where n.revocation_id = r.id and n.session_key = k.session_key
                  and session_reaper.is_named(
                    n.grace_over, n.ended, session_reaper.is_deletion(r.scope, r.reason), r.scope = 'all',
                    coalesce(n.user_id, r.user_id), l.user_id, l.from_data,
                    session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy))
                  -- But for one that was asked for by its key, only the linker can tell here, too.
                  and (not n.ended and not session_reaper.is_deletion(r.scope, r.reason)
                    or not (coalesce(l.from_data, n.from_data or n.ended) and k.session_key in (select pg_catalog.unnest(pending))))))
        group by k.session_key;
end
$$;

comment on function session_reaper.still_condemned(:session_key_base_type[], :session_key_base_type[], bigint[]) is
    'Those of these locked sessions that their revocations still end, with the first of these and whose session it is. For the functions of this schema only.';

-- What almost every session goes through: its link is locked and held against its change by one statement. A link that somebody
-- had changed before it could be locked is held against it as it is now (P2). Whoever writes a session holds it until he has
-- committed, and these are locked, so what waits to be read is all there, and is looked at before the links: whoever reads it
-- in between has written the link by the time that he takes it off the queue.
create or replace function session_reaper.lock_condemned(
    locked :session_key_base_type[], keys :session_key_base_type[], owners bigint[])
returns table (session_key :session_key_base_type, revocation_id bigint, user_id :user_key_type)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set join_collapse_limit = 1
set jit = off
set row_security = off
as $$
declare
    pending constant :session_key_base_type[] := session_reaper.pending_among(locked);
begin
    return query
        select k.session_key, k.revocation_id, l.user_id
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners)) as k (session_key, revocation_id)
        join session_reaper.user_session l on l.session_key = k.session_key
        join session_reaper.revocation r on r.id = k.revocation_id
        join session_reaper.change c on c.id = r.change_id
        where (k.session_key in (select pg_catalog.unnest(locked))) is true
          and (r.scope = 'all' or r.scope = 'user' and l.user_id = r.user_id)
          and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
          and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy)
          and not (l.from_data and k.session_key in (select pg_catalog.unnest(pending)))
        for update of l skip locked;
end
$$;

comment on function session_reaper.lock_condemned(:session_key_base_type[], :session_key_base_type[], bigint[]) is
    'Those of these locked sessions whose links nobody holds and their revocations end by their age, with the links locked. For the functions of this schema only.';

-- A statement of its own: had it to wait for a replica that looks at the same revocation, PostgreSQL would plan its row anew and
-- could not run the deletion a second time.
create or replace function session_reaper.count_ended(ended_for bigint[], counts bigint[], remembered_for bigint[])
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
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

comment on function session_reaper.count_ended(bigint[], bigint[], bigint[]) is
    'Counts sessions that have been deleted on their revocations; returns how many. For delete_condemned() only.';

-- Who named one of these keys, for whatever reason and whether or not sessions are written back here, has what was asked for:
-- from now on the key may be somebody else's (P2). Nothing here is waited for (P6). A revocation that another daemon has
-- claimed is not dated, so its grace ends when it settles.
create or replace function session_reaper.note_named(keys :session_key_base_type[], users :user_key_type[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    named bigint[];
begin
    with free as (
        select n.ctid as place, e.user_id
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(users)) as e (session_key, user_id)
        join session_reaper.revoked_key n on n.session_key = e.session_key
        where not n.ended
        for update of n skip locked
    ), noted as (
        update session_reaper.revoked_key k
        set ended = true, user_id = nullif(f.user_id, r.user_id)
        from free f, session_reaper.revocation r
        where k.ctid = f.place and r.id = k.revocation_id
        returning k.revocation_id
    )
    select pg_catalog.array_agg(n.revocation_id) into named from noted n;
    if named is not null then
        update session_reaper.revocation r
        set remembered_at = 'infinity'
        where r.id = any (array(
            select f.id from session_reaper.revocation f where f.id = any (named) and f.state <> 'settled' for update skip locked));
    end if;
end
$$;

comment on function session_reaper.note_named(:session_key_base_type[], :user_key_type[]) is
    'Notes that sessions with these keys, which were these users'', have been ended, wherever a revocation names them. For delete_condemned() only.';

-- "remember" notes the keys of a store whose in-flight requests may write them back (P1).
create or replace function session_reaper.delete_condemned(
    keys :session_key_base_type[], owners bigint[], users :user_key_type[], remember boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    ended_for bigint[];
    counts bigint[];
    remembered_for bigint[];
    ended_keys :session_key_base_type[];
    ended_users :user_key_type[];
begin
    -- For session_deleted(): a session that the cache cannot be told of has to stay (P5).
    perform pg_catalog.set_config('session_reaper.ending', 'on', true);
    with deleted as (
        delete from :"session_schema".:"session_table" s
        using rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners), pg_catalog.unnest(users))
            as c (session_key, revocation_id, user_id)
        where s.:"session_key" = c.session_key
        returning c.revocation_id, c.session_key, c.user_id
    ), remembered as (
        insert into session_reaper.revoked_key as k (revocation_id, session_key, ended, user_id)
        select d.revocation_id, d.session_key, true, nullif(d.user_id, r.user_id)
        from deleted d
        join session_reaper.revocation r on r.id = d.revocation_id
        where remember
        on conflict on constraint revoked_key_pkey do update
            set ended = true, user_id = excluded.user_id
            where not k.ended
        returning k.revocation_id
    ), counted as (
        select d.revocation_id, pg_catalog.count(*) as sessions from deleted d group by d.revocation_id
    )
    select pg_catalog.array_agg(n.revocation_id), pg_catalog.array_agg(n.sessions),
           array(select k.revocation_id from remembered k),
           (select pg_catalog.array_agg(d.session_key) from deleted d), (select pg_catalog.array_agg(d.user_id) from deleted d)
        into ended_for, counts, remembered_for, ended_keys, ended_users
        from counted n;
    perform pg_catalog.set_config('session_reaper.ending', '', true);
    perform session_reaper.note_named(ended_keys, ended_users);
    return session_reaper.count_ended(ended_for, counts, remembered_for);
end
$$;

comment on function session_reaper.delete_condemned(:session_key_base_type[], bigint[], :user_key_type[], boolean) is
    'Deletes these sessions, which are locked with their links, and counts them on their revocations; returns how many. For end_together() only.';

-- Most are condemned by their links and are ended at once. The rest is looked at anew: what is named by
-- its key, has become younger, has changed hands, waits to be linked, or has a link that somebody holds.
create or replace function session_reaper.end_together(keys :session_key_base_type[], owners bigint[], remember boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    locked :session_key_base_type[] := session_reaper.lock_sessions(keys);
    rest :session_key_base_type[];
    condemned record;
    ended bigint;
begin
    select pg_catalog.array_agg(c.session_key) as keys, pg_catalog.array_agg(c.revocation_id) as owners,
            pg_catalog.array_agg(c.user_id) as users
        into condemned
        from (
            select l.session_key, pg_catalog.min(l.revocation_id) as revocation_id, (pg_catalog.array_agg(l.user_id))[1] as user_id
            from session_reaper.lock_condemned(locked, keys, owners) l
            group by l.session_key
        ) c;
    ended := session_reaper.delete_condemned(condemned.keys, condemned.owners, condemned.users, remember);
    if pg_catalog.cardinality(locked) > coalesce(pg_catalog.cardinality(condemned.keys), 0) then
        rest := array(select pg_catalog.unnest(locked) except select pg_catalog.unnest(condemned.keys));
        select pg_catalog.array_agg(c.session_key) as keys, pg_catalog.array_agg(c.revocation_id) as owners,
                pg_catalog.array_agg(c.user_id) as users
            into condemned
            from session_reaper.still_condemned(session_reaper.with_free_links(rest), keys, owners) c;
        ended := ended + session_reaper.delete_condemned(condemned.keys, condemned.owners, condemned.users, remember);
    end if;
    return ended;
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
exception when others or assert_failure then
    for i in 1 .. pg_catalog.cardinality(keys) loop
        begin
            ended := ended + session_reaper.end_together(array[keys[i]], array[owners[i]], remember);
        exception when others or assert_failure then
            update session_reaper.revocation r set last_error = sqlstate where r.id = owners[i];
        end;
    end loop;
    return ended;
end
$$;

comment on function session_reaper.end_free(:session_key_base_type[], bigint[], boolean) is
    'Like end_together(), and where that fails, one by one: what cannot be deleted stays, with its SQLSTATE on the revocation.';

-- What failed last time is over unless it fails again. A lock is over when the session is gone.
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
    'Forgets what failed about these revocations before they are swept again. For the functions of this schema only.';

-- For the changing transaction. It locks nothing before end_free() can catch that this fails: under REPEATABLE READ a session
-- that the daemon has changed meanwhile cannot be locked. Never waits for a row lock: it may hold others (P6).
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
    ended := session_reaper.end_free(keys, owners, remember);
    perform session_reaper.drop_links_to_nothing(keys);
    return ended;
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
        keys, pg_catalog.array_fill(revocation, array[pg_catalog.cardinality(keys)]), remember);
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
    'Ends the older ones of the next "most" linked sessions; says how many, and whether there are more.';

-- Skipping alone starves: two requests that hold a row in overlapping turns keep every sweep off it, and so does one that
-- saves its session faster than the queue is read. So this takes one session and waits for its lock, holding no other;
-- the caller's lock_timeout bounds the wait. Then nobody can write it until the caller has read these writes, linked the
-- session anew and swept. Where somebody else reads the queue just now, they are left to him.
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
    'Waits for the lock of one session that sweeps had to skip; returns those of its writes that nobody has read, the first one with its data, for link_pending() in the same transaction.';
