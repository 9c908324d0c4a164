-- Ending sessions. The daemon and, while there is none, the changing transaction itself call the same
-- functions, so that there is one place that deletes a session for a revocation.

-- Every session that these revocations end: linked to their user and older than their change, or named.
-- Without a setting of its own, so that the planner can see through it; every caller pins search_path.
create or replace function session_reaper.condemned(revocations bigint[])
returns table (revocation_id bigint, session_key :session_key_type)
language sql
stable
as $$
    select r.id, l.session_key
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    join session_reaper.user_session l on l.user_id = r.user_id
    where r.id = any (revocations)
      and r.scope = 'user'
      and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy)
      and not session_reaper.is_kept(l.session_key::text, r.keep_digest, r.policy)
    union all
    select k.revocation_id, s.:"session_key"
    from session_reaper.revoked_key k
    join :"session_schema".:"session_table" s on s.:"session_key" = k.session_key
    where k.revocation_id = any (revocations)
    union all
    select r.id, l.session_key
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    join session_reaper.user_session l on true
    where r.id = any (revocations)
      and r.scope = 'all'
      and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, r.policy)
      and not session_reaper.is_kept(l.session_key::text, r.keep_digest, r.policy)
$$;

comment on function session_reaper.condemned(bigint[]) is
    'The sessions that these revocations end and that still exist. Keys are bearer credentials: for the functions of this schema only.';

-- Deletes sessions whose rows the caller has locked. A link that somebody else holds is passed over with its
-- session, because the cascade would wait for it while we hold other rows (P6).
create or replace function session_reaper.end_locked(
    keys :session_key_base_type[], owners bigint[], remember boolean)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    ended bigint;
begin
    with held as materialized (
        select l.session_key
        from session_reaper.user_session l
        where l.session_key = any (keys)
        order by l.session_key
        for update skip locked
    ), free as materialized (
        select k.session_key, pg_catalog.min(k.revocation_id) as revocation_id
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners)) as k (session_key, revocation_id)
        where exists (select from held h where h.session_key = k.session_key)
           or not exists (select from session_reaper.user_session l where l.session_key = k.session_key)
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
    ), noted as (
        update session_reaper.revocation r
        set sessions_ended = r.sessions_ended + n.sessions,
            -- Only a key that is ended for the first time prolongs the grace: or a user who logs in anew under the
            -- same key would keep it open for as long as he tries. It is not dated here, because this
            -- transaction may commit much later; the settler does that once it can see it.
            remembered_at = case
                when exists (select from remembered k where k.revocation_id = r.id) then 'infinity'
                else r.remembered_at end
        from counted n
        where r.id = n.revocation_id
    )
    select coalesce(pg_catalog.sum(n.sessions), 0) into ended from counted n;
    return ended;
end
$$;

comment on function session_reaper.end_locked(:session_key_base_type[], bigint[], boolean) is
    'Deletes these sessions, whose rows the caller holds, and counts them on the revocations in "owners"; returns how many.';

-- Never waits for a row lock while it holds others (P6). "remember" notes the keys of a store whose in-flight
-- requests may write them back (P1). The rows are locked in a materialized step because a limit inside
-- "in (...)" can be exceeded.
create or replace function session_reaper.sweep(revocations bigint[], most integer, remember boolean)
returns bigint
language plpgsql
security definer
set search_path = ''
-- A generic plan may decide to read the whole session table for one user.
set plan_cache_mode = force_custom_plan
as $$
declare
    keys :session_key_base_type[];
    owners bigint[];
begin
    with locked as materialized (
        select s.:"session_key" as session_key, d.revocation_id
        from session_reaper.condemned(revocations) d
        join :"session_schema".:"session_table" s on s.:"session_key" = d.session_key
        order by s.:"session_key"
        limit most
        for update of s skip locked
    )
    select pg_catalog.array_agg(k.session_key), pg_catalog.array_agg(k.revocation_id) into keys, owners from locked k;
    return case when keys is null then 0 else session_reaper.end_locked(keys, owners, remember) end;
end
$$;

comment on function session_reaper.sweep(bigint[], integer, boolean) is
    'Ends up to "most" sessions of these revocations, passing over locked rows; returns how many.';

-- The breach switch walks the links in key order, so that millions of sessions are read once and not anew
-- for every batch, and a restart goes on where it was; the rows that it passes over are found again before
-- the revocation settles.
create or replace function session_reaper.sweep_everyone(
    revocation bigint, most integer, remember boolean, out ended bigint, out more boolean)
language plpgsql
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
    walked_to :session_key_base_type;
    keys :session_key_base_type[];
begin
    select w.session_key into walked_to from session_reaper.walk w where w.revocation_id = revocation;
    with page as materialized (
        select l.session_key, l.xid, l.begun_at, l.snapshot
        from session_reaper.user_session l
        where walked_to is null or l.session_key > walked_to
        order by l.session_key
        limit most
    ), locked as materialized (
        select s.:"session_key" as session_key
        from page p
        join :"session_schema".:"session_table" s on s.:"session_key" = p.session_key
        cross join session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.id = revocation
          and session_reaper.is_older(p.xid, p.begun_at, p.snapshot, c.xid, c.begun_at, c.at, r.policy)
          and not session_reaper.is_kept(p.session_key::text, r.keep_digest, r.policy)
        order by s.:"session_key"
        for update of s skip locked
    )
    select (select pg_catalog.array_agg(k.session_key) from locked k),
           (select pg_catalog.count(*) = most from page),
           (select p.session_key from page p order by p.session_key desc limit 1)
        into keys, more, walked_to;
    ended := case when keys is null then 0
        else session_reaper.end_locked(keys, pg_catalog.array_fill(revocation, array[pg_catalog.cardinality(keys)]), remember) end;
    if more then
        insert into session_reaper.walk as w (revocation_id, session_key) values (revocation, walked_to)
            on conflict on constraint walk_pkey do update set session_key = excluded.session_key;
    else
        delete from session_reaper.walk w where w.revocation_id = revocation;
    end if;
end
$$;

comment on function session_reaper.sweep_everyone(bigint, integer, boolean) is
    'Ends the older ones of the next "most" linked sessions; says how many, and whether there are more.';

-- Skipping alone starves: two requests that hold a row in overlapping turns keep every sweep off it. So
-- this takes one session and waits for its lock, holding no other; the caller's lock_timeout bounds the wait.
create or replace function session_reaper.sweep_one(revocation bigint, remember boolean)
returns bigint
language plpgsql
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
    contested :session_key_base_type;
begin
    select d.session_key into contested
    from session_reaper.condemned(array[revocation]) d
    order by pg_catalog.random()
    limit 1;
    perform from :"session_schema".:"session_table" s where s.:"session_key" = contested for update;
    return session_reaper.sweep(array[revocation], 1000, remember);
end
$$;

comment on function session_reaper.sweep_one(bigint, boolean) is
    'Waits for the lock of one session that sweeps had to skip, then sweeps; returns how many sessions ended.';

-- Bounded, so that a reset of a million passwords does not become a million deletes inside one transaction.
-- What is over the bound, locked or not linked is left to the daemon, which settles this like any other.
create or replace function session_reaper.end_inline(of_change bigint)
returns void
language plpgsql
security definer
set search_path = ''
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
        where r.id in (
            select f.id from session_reaper.revocation f
            where f.change_id = of_change and not f.tried_inline
            order by f.id limit greatest(most, 0))
        returning r.id
    )
    select pg_catalog.array_agg(t.id) into fresh from tried t;
    perform session_reaper.sweep(fresh, most::integer, true) where fresh is not null;
exception
    -- Under REPEATABLE READ a session may have been saved since the app's snapshot. The daemon will end it.
    when serialization_failure or deadlock_detected or lock_not_available then
        null;
end
$$;

comment on function session_reaper.end_inline(bigint) is
    'Ends, inside the changing transaction, up to 10,000 sessions that are linked and free (P4).';
