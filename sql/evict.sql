-- Forgetting sessions in the cache beside their table (P5). The cache answers without asking the table, so every
-- transaction that deletes the row, whether ours, the app's or one in psql, leaves the key here.

create or replace function session_reaper.note_deleted(gone :session_key_base_type)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into session_reaper.pending_eviction (session_key, user_id, is_of_many, xid, begun_at, snapshot)
    select k.session_key, l.user_id, coalesce(pg_catalog.current_setting('session_reaper.ending', true) = 'many', false),
        -- As long as not every session has been read, one without a link may belong to any user and be of any age.
        coalesce(l.xid, case when t.unlinked then '0'::xid8 end),
        coalesce(l.begun_at, case when t.unlinked then '-infinity'::timestamptz end),
        coalesce(l.snapshot, case when t.unlinked then '1:1:'::pg_snapshot end)
    from (select gone as session_key) k
    cross join (
        select not r.complete or session_reaper.is_queue_full()
            or exists (select from session_reaper.missed m where m.what = 'write') as unlinked
        from session_reaper.backfill r) t
    left join session_reaper.user_session l on l.session_key = k.session_key
$$;

comment on function session_reaper.note_deleted(:session_key_base_type) is
    'Notes that the cache has to forget this session. For the functions of this schema only.';

-- An expired session has expired in the cache, too: a purge notes nothing. Runs before PostgreSQL's own RI_ triggers,
-- because of its name, so that it still finds the link.
--
-- Where a revocation ends the session, a failure here has to fail the deletion, which is then tried again. Where the app
-- deletes it, a failure here must not fail the app. As in note_written(), only the first deletion of a transaction pays for
-- that.
create or replace function session_reaper.session_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if session_reaper.is_replica() and session_reaper.arrives_by_itself() then
        return null;
    end if;
    if pg_catalog.current_setting('session_reaper.ending', true) in ('on', 'many')
        or pg_catalog.current_setting('session_reaper.noting_deleted', true) = 'on'
    then
        if not exists (select from (select old.*) s where :is_expired) then
            perform session_reaper.note_deleted(old.:"session_key");
        end if;
        return null;
    end if;
    begin
        if not exists (select from (select old.*) s where :is_expired) then
            perform session_reaper.note_deleted(old.:"session_key");
            -- What arrives by replication must never fail.
            if not session_reaper.is_replica() then
                perform pg_catalog.set_config('session_reaper.noting_deleted', 'on', true);
            end if;
        end if;
    exception when others or assert_failure then
        perform session_reaper.note_deleted_row(pg_catalog.to_jsonb(old));
    end;
    return null;
end
$$;

comment on function session_reaper.session_deleted() is
    'Notes that the cache has to forget a deleted session, no matter who deleted it.';

-- The columns may have other names now.
create or replace function session_reaper.note_deleted_row(gone jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.note_deleted(session_reaper.session_key_in(gone));
exception when others or assert_failure then
    perform session_reaper.miss('eviction', sqlstate);
end
$$;

comment on function session_reaper.note_deleted_row(jsonb) is
    'note_deleted() for a row whose columns could not be found by their names. Never fails. For the functions of this schema only.';

-- Truncating the table deletes every session. PostgreSQL fires all these triggers before it truncates anything, so the
-- links still exist.
create or replace function session_reaper.sessions_truncated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    insert into session_reaper.pending_eviction (session_key, user_id, xid, begun_at, snapshot)
    select s.:"session_key", l.user_id, l.xid, l.begun_at, l.snapshot
    from :"session_schema".:"session_table" s
    left join session_reaper.user_session l on l.session_key = s.:"session_key"
    where (:is_expired) is not true;
    return null;
exception when others or assert_failure then
    perform session_reaper.miss('eviction', sqlstate);
    return null;
end
$$;

comment on function session_reaper.sessions_truncated() is
    'Notes that the cache has to forget all sessions of a table that is truncated.';

-- A key that does not fit our type is in no cache either, because the site has not run with it yet.
create or replace function session_reaper.paused_session_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    session_key text;
begin
    execute pg_catalog.format('select ($1).%I::text', session_reaper.column_now(tg_relid, tg_argv[0]::smallint, tg_argv[1]))
        into session_key using old;
    perform session_reaper.note_deleted(cast(session_key as :session_key_base_type));
    return null;
exception
    when data_exception or check_violation then
        return null;
    when others or assert_failure then
        perform session_reaper.miss('eviction', sqlstate);
        return null;
end
$$;

comment on function session_reaper.paused_session_deleted() is
    'What session_deleted() does, without naming a column. Arguments: number and name of the sessions'' key.';

-- If a session was deleted before it was read, its user can no longer be found. But its pending writes show how old it was
-- at most; without that it would hold up either no revocation or all of them. No revocation settles before these writes
-- have been looked at.
create or replace function session_reaper.date_unlinked_evictions(places text[])
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update session_reaper.pending_eviction e
    set xid = w.xid, begun_at = w.begun_at, snapshot = w.snapshot
    from (
        select a.id, (pg_catalog.array_agg(a.xid order by a.xid))[1] as xid, pg_catalog.min(a.begun_at) as begun_at,
            session_reaper.seen_by_all(pg_catalog.array_agg(a.snapshot)) as snapshot
        from (
            select n.id, coalesce(u.xid, u.queued_in) as xid, u.begun_at, u.snapshot
            from session_reaper.pending_link u
            join session_reaper.pending_eviction n on n.session_key = u.session_key
            where u.ctid = any (places::tid[]) and n.user_id is null
            union all
            select o.id, o.xid, o.begun_at, o.snapshot
            from session_reaper.pending_eviction o
            where o.user_id is null and o.begun_at is not null and o.session_key in (
                select u.session_key from session_reaper.pending_link u where u.ctid = any (places::tid[]))
        ) a
        group by a.id
    ) w
    where e.id = w.id
$$;

comment on function session_reaper.date_unlinked_evictions(text[]) is
    'Dates sessions that were deleted before they were read, by their writes in these places of the queue. For the functions of this schema only.';

-- One user's sessions must not wait in the cache behind those of a reset of all passwords, just as the user's revocation
-- does not.
create or replace function session_reaper.ending_for(owners bigint[])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case when exists (
        select from session_reaper.revocation r
        where r.id = any (owners) and r.scope <> 'all' and r.place = 0) then 'on' else 'many' end
$$;

comment on function session_reaper.ending_for(bigint[]) is
    'What session_reaper.ending is while sessions are deleted for these revocations: "many" if all of them are of changes of many users, whose sessions are evicted behind others. For the functions of this schema only.';

-- Nothing is claimed: two daemons may evict the same key without harm, while a daemon that dies would have to give its
-- claim back. A key that has been evicted once is due again after the grace. By then no request that had read the row
-- before it was deleted can still be in flight.
create or replace function session_reaper.take_evictions(
    most integer, grace_s double precision, out id bigint, out is_last boolean, out key_text text)
returns setof record
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select e.id, e.is_last, :session_key_text
    from (
        (select f.id, grace_s <= 0 as is_last, f.session_key
        from session_reaper.pending_eviction f
        where f.evicted_at is null
        order by f.is_of_many, f.id
        limit most)
        union all
        (select a.id, true, a.session_key
        from session_reaper.pending_eviction a
        where a.evicted_at <= pg_catalog.clock_timestamp() - grace_s * interval '1 second'
        order by a.evicted_at
        limit most)
    ) e
$$;

comment on function session_reaper.take_evictions(integer, double precision) is
    'Up to "most" sessions that the cache has never confirmed to have forgotten, and as many that it has to forget again.';

create or replace function session_reaper.eviction_key(eviction bigint)
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select :session_key_text from session_reaper.pending_eviction e where e.id = eviction
$$;

comment on function session_reaper.eviction_key(bigint) is
    'The key of the session that waits to be evicted, as the cache spells it; a bearer credential.';

-- Dated here and not when they were taken, because the grace must count from a moment at which the row was certainly gone.
create or replace function session_reaper.confirm_evictions(ids bigint[], are_last boolean[])
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    with taken as (
        select t.id, t.is_last
        from rows from (pg_catalog.unnest(ids), pg_catalog.unnest(are_last)) as t (id, is_last)
    ), dated as (
        update session_reaper.pending_eviction e
        set evicted_at = pg_catalog.clock_timestamp()
        from taken t
        where e.id = t.id and not t.is_last and e.evicted_at is null
    ), forgotten as (
        delete from session_reaper.pending_eviction e
        using taken t
        where e.id = t.id and t.is_last
        returning e.id
    ), counted as (
        update session_reaper.eviction c
        set sessions = c.sessions + (select pg_catalog.count(*) from forgotten),
            confirmed_at = pg_catalog.clock_timestamp(), failing_since = null, attempts = 0, last_error = null
    )
    select pg_catalog.count(*) from forgotten
$$;

comment on function session_reaper.confirm_evictions(bigint[], boolean[]) is
    'Notes that the cache has forgotten these: those evicted for the last time are done, the others due again after the grace. Returns how many are done.';

create or replace function session_reaper.eviction_failed(error text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    update session_reaper.eviction c
    set failing_since = coalesce(c.failing_since, pg_catalog.clock_timestamp()), attempts = c.attempts + 1, failures = c.failures + 1,
        last_error = error
$$;

comment on function session_reaper.eviction_failed(text) is 'Notes that the cache has not confirmed, and why.';

-- Django's database cache is a table, so keys need not leave the database. Never waits for a row lock (P6): an entry that
-- the app is writing stays, and is tried again.
--
-- A failure on one of these entries, for instance in a trigger of the site, fails no statement, which would put it into the
-- server's log: the caller halves the batch.
create or replace function session_reaper.evict_from_table(
    ids bigint[], are_last boolean[], name_pieces text[], out postponed bigint, out refused text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    cache text := :cache_relation;
    keys text[];
    free text[];
    busy text[];
begin
    postponed := 0;
    keys := array(
        select pg_catalog.array_to_string(name_pieces, e.key_text)
        from pg_catalog.unnest(ids) with ordinality as t (id, number)
        join lateral session_reaper.eviction_key(t.id) e (key_text) on true
        order by t.number);
    execute pg_catalog.format(
        'select array(select c.cache_key from %s c where c.cache_key = any ($1) order by c.cache_key for update skip locked)', cache)
        into free using keys;
    execute pg_catalog.format('delete from %s c where c.cache_key = any ($1)', cache) using free;
    execute pg_catalog.format('select array(select c.cache_key from %s c where c.cache_key = any ($1))', cache)
        into busy using keys;
    perform session_reaper.confirm_evictions(
        array(select t.id from rows from (pg_catalog.unnest(ids), pg_catalog.unnest(keys)) as t (id, key) where t.key <> all (busy)),
        array(select t.is_last from rows from (pg_catalog.unnest(are_last), pg_catalog.unnest(keys)) as t (is_last, key) where t.key <> all (busy)));
    postponed := pg_catalog.cardinality(busy);
exception when others or assert_failure then
    if not session_reaper.is_of_the_row(sqlstate) then
        raise;
    end if;
    refused := sqlstate;
end
$$;

comment on function session_reaper.evict_from_table(bigint[], boolean[], text[]) is
    'Evicts these sessions from a cache that is a table. An entry''s name is these pieces with the session key between them. Returns how many were locked, or the SQLSTATE of a failure on one.';

-- The age of the login decides, as it does for a session that still exists: a user who logs in and out all the time must
-- not keep his old revocation from settling. A session that was deleted before it was linked may have belonged to any user.
create or replace function session_reaper.awaiting_eviction(revocations bigint[])
returns setof bigint
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    if not exists (select from session_reaper.pending_eviction) then
        return;
    end if;
    return query
        select r.id
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.state = 'revoked'
          and (revocations is null or r.id = any (revocations))
          and (
            exists (
                select
                from session_reaper.pending_eviction e
                where r.scope = 'user' and e.user_id = r.user_id
                  and session_reaper.is_older(e.xid, e.begun_at, e.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy))
            or exists (
                select
                from session_reaper.pending_eviction e
                where r.scope = 'all' and e.user_id is not null
                  and session_reaper.is_older(e.xid, e.begun_at, e.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy))
            or exists (
                select
                from session_reaper.pending_eviction e
                where r.scope in ('user', 'all') and e.user_id is null and e.begun_at is not null
                  and session_reaper.is_older(e.xid, e.begun_at, e.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy))
            or exists (
                select
                from session_reaper.revoked_key k
                join session_reaper.pending_eviction e on e.session_key = k.session_key
                where k.revocation_id = r.id));
end
$$;

comment on function session_reaper.awaiting_eviction(bigint[]) is
    'Those of these revocations, or of all (null), that have ended a session which the cache may still know.';

-- If there is no cache any more, nothing waits for one, and how it last answered does not matter.
create or replace function session_reaper.stop_evicting()
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    delete from session_reaper.pending_eviction;
    update session_reaper.eviction c
    set failing_since = null, attempts = 0, last_error = null
    where c.failing_since is not null
$$;

comment on function session_reaper.stop_evicting() is 'Forgets the evictions that were still to be done.';
