-- Which sessions revocations end, and which revocations have something left to end. Planned as sql/lock.sql describes.

-- Only the breach switch reads all links, and that is cheapest in one go.
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
      and session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
      and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy)
    limit most
$$;

comment on function session_reaper.condemned_everyone(bigint, integer) is
    'Up to "most" of the sessions that a revocation of everybody ends. For the functions of this schema only.';

-- A user may have many revocations and many sessions. So each session is looked at once, not once per revocation. A session
-- that is newer than all of these changes is passed over; each other session belongs to the first revocation that ends it.
-- PostgreSQL inlines this function, too, into the statements that call it, and these set how it is planned.
create or replace function session_reaper.by_user(revocations bigint[])
returns table (user_id :user_key_type, ids bigint[], xids xid8[], latest timestamptz)
language sql
stable
as $$
    select a.user_id, pg_catalog.array_agg(a.id),
        pg_catalog.array_prepend(pg_catalog.max(a.xid::text::bigint)::text::xid8, pg_catalog.array_agg(a.xid)),
        pg_catalog.max(coalesce(a.at, 'infinity'))
    from (
        -- Sorted here, because sorting in the aggregates would sort anew for each user.
        select r.user_id, r.id, c.xid, c.at
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.id = any (revocations) and r.scope = 'user'
        order by r.user_id, r.id
    ) a
    group by a.user_id
$$;

comment on function session_reaper.by_user(bigint[]) is
    'The users whom these revocations name, each with their numbers in order, the transactions that asked, with the greatest repeated in front, and their latest stamp. For the functions of this schema only.';

create or replace function session_reaper.has_seen_all(link_xid xid8, link_snapshot pg_snapshot, xids xid8[])
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select link_xid <> all (xids)
        and not exists (select from pg_catalog.pg_snapshot_xip(link_snapshot) x (running) where x.running = any (xids))
$$;

comment on function session_reaper.has_seen_all(xid8, pg_snapshot, xid8[]) is
    'Whether none of these transactions, all begun before the snapshot''s end, was running then or made the link. For may_be_older() only.';

-- Most cases are decided without looking at the running transactions.
create or replace function session_reaper.may_be_older(
    link_xid xid8, link_begun_at timestamptz, link_snapshot pg_snapshot, xids xid8[], latest timestamptz)
returns boolean
language sql
stable
return not (
    link_begun_at > latest
    and (pg_catalog.pg_snapshot_xmin(link_snapshot) > xids[1]
        or pg_catalog.pg_snapshot_xmax(link_snapshot) > xids[1] and session_reaper.has_seen_all(link_xid, link_snapshot, xids)));

comment on function session_reaper.may_be_older(xid8, timestamptz, pg_snapshot, xid8[], timestamptz) is
    'Whether one of these changes, as by_user() gives them, could end this session by the age rule.';

-- These two functions have no settings, so that PostgreSQL can inline them into the statements that call them, which then
-- stop at their limit.
create or replace function session_reaper.condemned_of_user(
    of_user :user_key_type, ids bigint[], xids xid8[], latest timestamptz)
returns table (revocation_id bigint, session_key :session_key_base_type)
language sql
stable
as $$
    select d.id, l.session_key
    from session_reaper.user_session l
    cross join lateral (
        select r.id
        from pg_catalog.unnest(condemned_of_user.ids) as i (id)
        join session_reaper.revocation r on r.id = i.id
        join session_reaper.change c on c.id = r.change_id
        where session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
          and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy)
        limit 1
    ) d
    where l.user_id = condemned_of_user.of_user
      and session_reaper.may_be_older(l.xid, l.begun_at, l.snapshot, condemned_of_user.xids, condemned_of_user.latest)
$$;

comment on function session_reaper.condemned_of_user(:user_key_type, bigint[], xid8[], timestamptz) is
    'The sessions of a user that the user''s revocations end, each with the first that does. For the functions of this schema only.';

create or replace function session_reaper.named_sessions(revocation bigint)
returns setof :session_key_base_type
language sql
stable
as $$
    select s.:"session_key"
    from session_reaper.revoked_key k
    join session_reaper.revocation r on r.id = k.revocation_id
    join session_reaper.change c on c.id = r.change_id
    join :"session_schema".:"session_table" s on s.:"session_key" = k.session_key
    left join session_reaper.user_session l on l.session_key = k.session_key
    where k.revocation_id = named_sessions.revocation
      and session_reaper.is_named(
        k.grace_over, k.ended, session_reaper.is_deletion(r.scope, r.reason), r.scope = 'all',
        coalesce(k.user_id, r.user_id), l.user_id, l.from_data,
        session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy))
$$;

comment on function session_reaper.named_sessions(bigint) is
    'The sessions that this revocation ends because it has named their keys. For the functions of this schema only.';

-- Up to "most" sessions from each source: those of a user, those that are named by key, and those of a revocation of
-- everybody.
create or replace function session_reaper.condemned(revocations bigint[], most integer)
returns table (revocation_id bigint, session_key :session_key_base_type)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set join_collapse_limit = 1
set jit = off
set row_security = off
as $$
begin
    return query
        select e.revocation_id, e.session_key
        from session_reaper.by_user(revocations) u
        cross join lateral session_reaper.condemned_of_user(u.user_id, u.ids, u.xids, u.latest) e
        limit most;
    return query
        select r.id, e.session_key
        from pg_catalog.unnest(revocations) as r (id)
        cross join lateral session_reaper.named_sessions(r.id) e (session_key)
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

-- This locks nothing: most waiting revocations have no session to end, and a row lock is written to the WAL. It has no
-- limit, because one revocation's many sessions must not hide another's few.
create or replace function session_reaper.with_sessions(revocations bigint[])
returns setof bigint
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set join_collapse_limit = 1
set jit = off
set row_security = off
as $$
begin
    return query
        select distinct r.id
        from session_reaper.by_user(revocations) u
        cross join lateral (
            select l.*
            from session_reaper.user_session l
            where l.user_id = u.user_id
              and session_reaper.may_be_older(l.xid, l.begun_at, l.snapshot, u.xids, u.latest)
            offset 0
        ) l
        cross join lateral pg_catalog.unnest(u.ids) as i (id)
        join session_reaper.revocation r on r.id = i.id
        join session_reaper.change c on c.id = r.change_id
        where session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
          and not session_reaper.is_kept(l.session_key, r.keep_digest, r.policy);
    return query
        select r.id
        from session_reaper.revocation r
        where r.id = any (revocations)
          and (exists (select from session_reaper.named_sessions(r.id))
            or r.scope = 'all' and exists (select from session_reaper.condemned_everyone(r.id, 1)));
end
$$;

comment on function session_reaper.with_sessions(bigint[]) is
    'Those of these revocations that have a session to end.';

-- Which of these revocations still have a session to end.
--
-- The queue is looked at first, and links only afterwards, by a statement that sees more. A linker may commit in between,
-- taking a session off the queue and linking it. In the opposite order neither look would find that session (P1).
create or replace function session_reaper.unfinished(revocations bigint[])
returns bigint[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    pending bigint[];
begin
    -- Asked once per change, because each call looks through the whole queue, and one change may revoke thousands of users.
    pending := array(
        with asked as materialized (
            select distinct r.change_id, r.policy from session_reaper.revocation r where r.id = any (revocations)
        ), held as materialized (
            select a.change_id, a.policy
            from asked a
            join session_reaper.change c on c.id = a.change_id
            where session_reaper.may_be_unlinked(c.xid, c.begun_at, c.at, c.newer_from, a.policy)
        )
        select r.id
        from session_reaper.revocation r
        join held h on h.change_id = r.change_id and h.policy = r.policy
        where r.id = any (revocations));
    return array(
        select u.id from pg_catalog.unnest(pending) as u (id)
        union
        select w.id from session_reaper.with_sessions(revocations) w (id)
        union
        -- A session that the cache may still know does not count as ended either (P5).
        select a.id from session_reaper.awaiting_eviction(revocations) a (id));
end
$$;

comment on function session_reaper.unfinished(bigint[]) is
    'Those of these revocations with sessions that a sweep left behind: locked, only just appeared, or perhaps still cached.';
