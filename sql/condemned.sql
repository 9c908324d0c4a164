-- Which sessions revocations end, and which of these have something left to end. Planned as sql/sweep.sql says.

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
          -- Of a deleted user's, those that are somebody else's by now stay.
          and (not k.grace_over
                and (not session_reaper.is_deletion(r.scope, r.reason) or l.user_id is null or l.user_id = r.user_id)
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
    -- Asked once a change, because each time all that waits is looked through, and one change may revoke thousands of users.
    unread := array(
        with asked as materialized (
            select distinct r.change_id, r.policy from session_reaper.revocation r where r.id = any (revocations)
        ), held as materialized (
            select a.change_id, a.policy
            from asked a
            join session_reaper.change c on c.id = a.change_id
            where session_reaper.may_be_unread(c.xid, c.begun_at, c.at, a.policy)
        )
        select r.id
        from session_reaper.revocation r
        join held h on h.change_id = r.change_id and h.policy = r.policy
        where r.id = any (revocations));
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
