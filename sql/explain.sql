-- For people: which rule keeps or ends each session of a user. The rule itself is session_reaper.is_older().

-- Only the newest revocations are compared with each session, so that a long history costs no more than a short one.
create or replace function session_reaper.explain_sessions(of_user :user_key_type, most integer default 100)
returns table (
    digest text, opened_at timestamptz, expires_at timestamptz, is_expired boolean, revocation_id bigint, verdict text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    with asked as materialized (
        select r.id, r.state, r.policy, r.keep_digest, c.xid, c.begun_at, c.at, c.newer_from
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.scope = 'user' and r.user_id = of_user or r.scope = 'all'
        order by r.id desc
        limit most
    ), judged as (
        select l.session_key, a.id, case
            when session_reaper.is_kept(l.session_key, a.keep_digest, a.policy) then 'kept'
            when l.xid = a.xid and l.begun_at = a.begun_at and a.policy = 'others' then 'own'
            when not session_reaper.is_older(l.xid, l.begun_at, l.snapshot, a.xid, a.begun_at, a.at, a.newer_from, a.policy) then 'newer'
            when a.state = 'settled' then 'left_over'
            else 'ends'
        end as verdict
        from session_reaper.user_session l
        cross join asked a
        where l.user_id = of_user
    ), decided as (
        select distinct on (j.session_key) j.session_key, j.id, j.verdict
        from judged j
        -- A revocation that ends the session decides first, then one that it was kept from, then the newest.
        order by j.session_key, pg_catalog.array_position(array['left_over', 'ends', 'kept', 'own', 'newer'], j.verdict), j.id desc
    )
    select
        pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(:link_key_bytes), 'hex'), 12),
        nullif(l.begun_at, '-infinity'),
        :expires_at,
        coalesce((:expires_at) <= pg_catalog.now(), false),
        d.id,
        coalesce(d.verdict, 'nothing_asked')
    from session_reaper.user_session l
    join :"session_schema".:"session_table" s on s.:"session_key" = l.session_key
    left join decided d on d.session_key = l.session_key
    where l.user_id = explain_sessions.of_user
    order by 2 nulls first, 1
$$;

comment on function session_reaper.explain_sessions(:user_key_type, integer) is
    'For each linked session of this user, without its key, the revocation that decides over it, and how: ends, left_over, kept, own, newer or nothing_asked.';

-- A policy ends sessions that no revocation has asked for.
create or replace function session_reaper.explain_policy(of_user :user_key_type, policy jsonb)
returns table (digest text, reason text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(:link_key_bytes), 'hex'), 12), l.reason
    from session_reaper.over_policy(array[of_user], policy) l
$$;

comment on function session_reaper.explain_policy(:user_key_type, jsonb) is
    'The sessions of this user that the policy ends next, without their keys, and why: sessions_max, lifetime or idle.';
