-- Locking the sessions that revocations end, with their links, and passing over what other transactions hold.
--
-- These functions are planned as nested loops through indexes, whatever the statistics say. The statistics may date from
-- when a table was still empty: reading it whole for each of 10,000 revocations then looks cheap (tried: the commit of a
-- bulk change took 150 s instead of 6 s). With such plans, the estimates make JIT compilation look worthwhile, which it
-- is not. And one plan is kept for all calls: planning anew took longer than ending a user's sessions. plan_cache_mode
-- also applies to PostgreSQL's own statement behind a foreign key, which was planned anew for each session. Row security,
-- where a site has it, has to fail here rather than hide sessions.

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
    'Locks those of these sessions that are not locked; returns them. For the functions of this schema only.';

-- A link that another transaction holds is passed over with its session, because the cascade would wait for it while we
-- hold other rows (P6).
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
        -- Rare: most of these sessions have no link, rather than a locked one.
        if pg_catalog.cardinality(busy) > 0 then
            return array(select pg_catalog.unnest(locked) except select pg_catalog.unnest(busy));
        end if;
    end if;
    return locked;
end
$$;

comment on function session_reaper.with_free_links(:session_key_base_type[]) is
    'Locks the links of these locked sessions, and returns those whose link is not held. For the functions of this schema only.';

-- Checked again once the sessions are locked: one may have changed hands meanwhile (P2), and that may be known only from
-- data that have not been read yet. Joined in the order that is written here: with old statistics, the planner would join
-- all changes with all revocations first. The form of the "in" makes PostgreSQL hash the keys: "= any" would look through
-- all of them for each session, and a plain "in" would be a join.
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
                -- Only the linker can tell whose it is now: it may have changed hands since. If there is no daemon, the
                -- changing transaction leaves it to the next daemon.
                and not (l.from_data and k.session_key in (select pg_catalog.unnest(pending)))
            or exists (
                select
                from session_reaper.revoked_key n
                where n.revocation_id = r.id and n.session_key = k.session_key
                  and session_reaper.is_named(
                    n.grace_over, n.ended, session_reaper.is_deletion(r.scope, r.reason), r.scope = 'all',
                    coalesce(n.user_id, r.user_id), l.user_id, l.from_data,
                    session_reaper.is_older(l.xid, l.begun_at, l.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy))
                  -- Here, too, only the linker can tell, except for a session that was asked for by its key.
                  and (not n.ended and not session_reaper.is_deletion(r.scope, r.reason)
                    or not (coalesce(l.from_data, n.from_data or n.ended) and k.session_key in (select pg_catalog.unnest(pending))))))
        group by k.session_key;
end
$$;

comment on function session_reaper.still_condemned(:session_key_base_type[], :session_key_base_type[], bigint[]) is
    'Those of these locked sessions that their revocations still end, with the first of these and the session''s user. For the functions of this schema only.';

-- What almost every session goes through: one statement locks its link and compares it with its change. A link that was
-- changed before it could be locked is compared as it is now (P2). A transaction that writes a session holds it until it
-- commits, and these sessions are locked, so all their pending rows are visible. They are looked at before the links: a
-- linker writes the link before it removes the row, so one of the two is always seen.
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
    'Those of these locked sessions whose links are free, and which their revocations end by age; locks the links. For the functions of this schema only.';
