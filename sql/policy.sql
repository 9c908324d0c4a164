-- How many sessions a user may have, and for how long: the settings under [policy], compared with the links. The settings
-- come as jsonb with every call, so that a reload is enough. Sessions end by revocations that name them, like a session
-- that was asked for by its key.

-- A value of site.policy_column may have its own rule. This function has no settings, so that PostgreSQL can inline it into
-- the calling statement: a call for each user would be most of the work.
create or replace function session_reaper.policy_of(of_user :user_key_type, policy jsonb)
returns table (sessions_max bigint, lifetime_s double precision, idle_s double precision)
language sql
stable
as $$
    select
        coalesce((policy -> 'sessions_max_where' ->> v.value)::bigint, (policy ->> 'sessions_max')::bigint),
        coalesce((policy -> 'lifetime_where_s' ->> v.value)::double precision, (policy ->> 'lifetime_s')::double precision),
        (policy ->> 'idle_s')::double precision
    from (
        select :policy_value as value from :"user_schema".:"user_table" u where u.:"user_key" = policy_of.of_user
    ) v
$$;

comment on function session_reaper.policy_of(:user_key_type, jsonb) is
    'How many sessions this user may have, and for how long; null where that is not limited. For the functions of this schema only.';

-- For most users, the links alone show that they are within the rules, and their sessions need not be looked up. For a user
-- with very many, only a part is looked at: enough newer sessions in that part are enough. The age of a session from before
-- the installation is not known: it is older than every other one, and counts from when it was found.
create or replace function session_reaper.over_policy(users :user_key_type[], policy jsonb)
returns table (session_key :session_key_base_type, user_id :user_key_type, reason text, from_data boolean, opened_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
    with suspect as materialized (
        select u.user_id, p.*
        from pg_catalog.unnest(users) as u (user_id)
        cross join lateral session_reaper.policy_of(u.user_id, policy) p
        cross join lateral (
            select pg_catalog.count(*) as links, pg_catalog.min(coalesce(nullif(k.begun_at, '-infinity'), k.linked_at)) as oldest
            from (select l.* from session_reaper.user_session l where l.user_id = u.user_id limit 10000) k
        ) c
        where c.links > p.sessions_max
           or c.oldest < pg_catalog.clock_timestamp() - p.lifetime_s * interval '1 second'
           or p.idle_s is not null
    ), placed as (
        select l.session_key, l.user_id, l.from_data, v.sessions_max, v.lifetime_s, v.idle_s, :used_at as used_at,
            :is_unused as is_unused,
            coalesce(nullif(l.begun_at, '-infinity'), l.linked_at) as opened_at,
            pg_catalog.row_number() over (
                partition by l.user_id
                order by l.begun_at desc, (:expires_at) desc nulls first, l.linked_at desc, l.session_key) as place
        from suspect v
        cross join lateral (
            select k.* from session_reaper.user_session k where k.user_id = v.user_id limit 10000
        ) l
        join :"session_schema".:"session_table" s on s.:"session_key" = l.session_key
        where not coalesce(:is_expired, false)
          -- Sessions already asked for are about to end. Each is looked up by the index, however many there are.
          and not exists (
            select from session_reaper.revoked_key k where k.session_key = l.session_key and not k.ended offset 0)
    ), judged as (
        select n.*, case
            when n.place > n.sessions_max then 'sessions_max'
            when n.opened_at < pg_catalog.clock_timestamp() - n.lifetime_s * interval '1 second' then 'lifetime'
            when coalesce(n.used_at, case when n.is_unused then n.opened_at end) < pg_catalog.clock_timestamp() - n.idle_s * interval '1 second' then 'idle'
        end as reason
        from placed n
    )
    select j.session_key, j.user_id, j.reason, j.from_data, j.opened_at from judged j where j.reason is not null
$$;

comment on function session_reaper.over_policy(:user_key_type[], jsonb) is
    'Sessions of these users that the policy ends, and why: sessions_max, lifetime or idle. For the functions of this schema only.';

-- Links in the order in which they were made. Links of the same moment stay together, so that a moment is enough to
-- continue from.
create or replace function session_reaper.linked_since(after timestamptz, older_than_s double precision, most integer)
returns table (session_key :session_key_base_type, user_id :user_key_type, linked_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
    select l.session_key, l.user_id, l.linked_at
    from session_reaper.user_session l
    where l.linked_at > coalesce(after, '-infinity')
      and l.linked_at <= pg_catalog.clock_timestamp() - coalesce(older_than_s, 0) * interval '1 second'
    order by l.linked_at
    fetch first (most) rows with ties
$$;

comment on function session_reaper.linked_since(timestamptz, double precision, integer) is
    'The next "most" links made after this moment, and at least that many seconds ago. For the functions of this schema only.';

-- If a session's data waits to be read, only the linker can tell whose it is (P2): it is looked at again later.
create or replace function session_reaper.ask_by_policy(
    free_keys :session_key_base_type[], users :user_key_type[], policy jsonb,
    out keys :session_key_base_type[], out owners bigint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    pending constant :session_key_base_type[] := session_reaper.pending_among(free_keys);
begin
    with over as materialized (
        select o.*
        from session_reaper.over_policy(users, policy) o
        where o.session_key = any (free_keys) and not (o.from_data and o.session_key = any (pending))
    ), asked as materialized (
        select w.user_id, w.reason, session_reaper.request('session', w.user_id, w.reason, 'all', null) as revocation_id
        from (select distinct o.user_id, o.reason from over o) w
    ), named as (
        insert into session_reaper.revoked_key (revocation_id, session_key, from_data)
        select a.revocation_id, o.session_key, o.from_data
        from over o
        join asked a on a.user_id = o.user_id and a.reason = o.reason
        returning revoked_key.revocation_id, revoked_key.session_key
    )
    select pg_catalog.array_agg(n.session_key), pg_catalog.array_agg(n.revocation_id) into keys, owners from named n;
end
$$;

comment on function session_reaper.ask_by_policy(:session_key_base_type[], :user_key_type[], jsonb) is
    'Asks to end those of these locked sessions that the policy still ends, one revocation per user and reason. For the functions of this schema only.';

-- Sessions are chosen, locked if free (P6), and checked again under the lock (P2): one may have changed hands, or been
-- used.
create or replace function session_reaper.enforce_policy(
    policy jsonb, most integer, remember boolean, after timestamptz, older_than_s double precision,
    out looked_at bigint, out reached timestamptz, out ended bigint, out more boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    users :user_key_type[];
    keys :session_key_base_type[];
    asked record;
begin
    ended := 0;
    more := false;
    if session_reaper.is_paused() then
        looked_at := 0;
        return;
    end if;
    select pg_catalog.count(*), pg_catalog.max(l.linked_at), pg_catalog.array_agg(distinct l.user_id)
        into looked_at, reached, users
        from session_reaper.linked_since(after, older_than_s, most) l;
    if looked_at = 0 then
        return;
    end if;
    -- Ending a session takes longer than looking at one, and locks are held until all of them are done. Only the users of
    -- these are looked at again under the locks.
    select pg_catalog.array_agg(o.session_key), pg_catalog.array_agg(distinct o.user_id) into keys, users
        from (select * from session_reaper.over_policy(users, policy) limit 1 + most / 10) o;
    if keys is null then
        return;
    end if;
    asked := session_reaper.ask_by_policy(
        session_reaper.with_free_links(session_reaper.lock_sessions(keys)), users, policy);
    if asked.keys is not null then
        ended := session_reaper.end_free(asked.keys, asked.owners, remember, true);
    end if;
    -- If nothing could be ended, the next try would be no better.
    more := pg_catalog.cardinality(keys) > most / 10 and ended > 0;
end
$$;

comment on function session_reaper.enforce_policy(jsonb, integer, boolean, timestamptz, double precision) is
    'Looks at the next "most" links, and ends what the policy ends for their users; returns how many links, up to when, how many sessions ended, and whether these users may have more.';

-- The same question without ending anything, for people who want to know beforehand.
create or replace function session_reaper.who_is_over_policy(
    policy jsonb, most integer, after timestamptz, out reached timestamptz,
    out digest text, out user_id text, out reason text, out opened_at timestamptz)
returns setof record
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    with piece as materialized (
        select l.* from session_reaper.linked_since(after, null, most) l
    )
    select (select pg_catalog.max(p.linked_at) from piece p),
        pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(:link_key_bytes), 'hex'), 12),
        l.user_id::text, l.reason, l.opened_at
    from (select 1) always (one)
    left join session_reaper.over_policy(array(select distinct p.user_id from piece p), policy) l
        on l.session_key in (select p.session_key from piece p)
    where exists (select from piece)
$$;

comment on function session_reaper.who_is_over_policy(jsonb, integer, timestamptz) is
    'Which of the next "most" linked sessions the policy ends, without their keys, and why; one row without a session if there is none. No row when no link is left.';
