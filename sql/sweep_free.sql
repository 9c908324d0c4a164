-- What the daemon sweeps: a fair share of what is free for each revocation. Planned as sql/lock.sql describes.

-- A locked session does not count, so a revocation that gets less than its share has no free sessions left. A user with
-- several revocations has the shares of all of them together.
create or replace function session_reaper.take_free(revocations bigint[], share integer)
returns table (revocation_id bigint, session_key :session_key_base_type)
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
#variable_conflict use_variable
begin
    return query
        select t.revocation_id, t.session_key
        from session_reaper.by_user(revocations) u
        cross join lateral (
            select e.revocation_id, s.:"session_key" as session_key
            from session_reaper.condemned_of_user(u.user_id, u.ids, u.xids, u.latest) e
            join :"session_schema".:"session_table" s on s.:"session_key" = e.session_key
            limit share * pg_catalog.cardinality(u.ids)
            for update of s skip locked
        ) t;
    return query
        select r.id, t.session_key
        from pg_catalog.unnest(revocations) as r (id)
        cross join lateral (
            select s.:"session_key" as session_key
            from session_reaper.named_sessions(r.id) e (session_key)
            join :"session_schema".:"session_table" s on s.:"session_key" = e.session_key
            limit share
            for update of s skip locked
        ) t;
    return query
        select r.id, e.session_key
        from session_reaper.revocation r
        cross join lateral session_reaper.condemned_everyone(r.id, share) e (session_key)
        join :"session_schema".:"session_table" s on s.:"session_key" = e.session_key
        where r.id = any (revocations)
          and r.scope = 'all'
        for update of s skip locked;
end
$$;

comment on function session_reaper.take_free(bigint[], integer) is
    'Up to "share" sessions from each source for each of these revocations, locked. Keys are bearer credentials: for the functions of this schema only.';

-- A revocation that got its full share may have more sessions, unless none of them could be deleted: it would get the same
-- ones for ever.
create or replace function session_reaper.over_share(
    revocations bigint[], keys :session_key_base_type[], owners bigint[], share integer)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_variable
begin
    return (with asked as materialized (
        -- All revocations of a user have one share.
        select r.id, pg_catalog.min(r.id) over same as first_id, pg_catalog.count(*) over same as number
        from session_reaper.revocation r
        where r.id = any (revocations)
        window same as (
            partition by case when r.scope = 'user' then r.user_id end, case when r.scope <> 'user' then r.id end)
    ), full_share as materialized (
        select a.first_id, pg_catalog.array_agg(t.session_key) as keys
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners)) as t (session_key, revocation_id)
        join asked a on a.id = t.revocation_id
        group by a.first_id, a.number
        having pg_catalog.count(*) >= share * a.number
    ), taken as (
        select f.first_id
        from full_share f
        cross join lateral pg_catalog.unnest(f.keys) as k (session_key)
        group by f.first_id
        having pg_catalog.bool_or(not exists (
            select from :"session_schema".:"session_table" s where s.:"session_key" = k.session_key))
    )
    select array(select a.id from taken t join asked a on a.first_id = t.first_id));
end
$$;

comment on function session_reaper.over_share(bigint[], :session_key_base_type[], bigint[], integer) is
    'Those of these revocations whose sessions used up their share, where at least one of these is gone. For the functions of this schema only.';

-- Does not look at the sessions, which may be gone although their links are not.
create or replace function session_reaper.links_of(revocations bigint[], most integer)
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
begin
    return array(
        select e.session_key
        from session_reaper.by_user(revocations) u
        cross join lateral session_reaper.condemned_of_user(u.user_id, u.ids, u.xids, u.latest) e
        limit most);
end
$$;

comment on function session_reaper.links_of(bigint[], integer) is
    'Up to "most" keys of links that these revocations of users end. For the functions of this schema only.';

-- Never waits for a row lock, because it may hold others (P6). The batch is shared out, so that a user with many sessions
-- leaves room for other users.
create or replace function session_reaper.sweep_free(
    revocations bigint[], share integer, remember boolean, out ended bigint, out unswept bigint[])
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    keys :session_key_base_type[];
    owners bigint[];
    others bigint[];
begin
    ended := 0;
    unswept := revocations;
    if session_reaper.is_paused() then
        return;
    end if;
    unswept := '{}';
    -- A foreign key of the site on its sessions, deferred as Django makes them all, would fail the commit and with it the
    -- whole batch. Checked at once, it keeps only the session that it concerns.
    set constraints all immediate;
    perform session_reaper.forget_failures(revocations);
    select pg_catalog.array_agg(f.session_key), pg_catalog.array_agg(f.revocation_id) into keys, owners
        from session_reaper.take_free(revocations, share) f;
    if keys is not null then
        ended := session_reaper.end_free(keys, owners, remember, true);
        if pg_catalog.cardinality(keys) >= share then
            unswept := session_reaper.over_share(revocations, keys, owners, share);
        end if;
        -- A session's link goes with it. If the foreign key did not fire, the next sweep finds the link alone, below.
        if ended < pg_catalog.cardinality(keys) then
            perform session_reaper.drop_links_to_nothing(keys);
        end if;
    end if;
    others := array(select pg_catalog.unnest(revocations) except select pg_catalog.unnest(owners));
    if pg_catalog.cardinality(others) > 0 then
        perform session_reaper.drop_links_to_nothing(session_reaper.links_of(others, share));
    end if;
end
$$;

comment on function session_reaper.sweep_free(bigint[], integer, boolean) is
    'Ends up to "share" free sessions of each of these revocations; returns how many, and which may have more free sessions.';
