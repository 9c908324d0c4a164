-- Linking what was noted: the daemon takes rows off the queue, finds the user in the data, and links.

-- Called in a transaction that then calls link_pending(). The daemon that holds the row of drain reads; the others wait for
-- it and hold nothing. "anew" reads the queue from its beginning, as the first drain of a daemon does: in a database that
-- was restored from a dump, transaction ids have begun anew. Rows of one session come together. Its data are sent once, on
-- the first of them, however often it has been saved.
create or replace function session_reaper.take_pending_links(
    most integer, anew boolean, most_bytes integer default 16777216,
    out place text, out session_number bigint, out data bytea, out is_refused boolean, out seen pg_snapshot)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    since pg_snapshot;
    taken record;
    bytes bigint := 0;
begin
    if session_reaper.is_paused() then
        return;
    end if;
    select q.drained_to into since from session_reaper.drain q for update;
    -- Written permanently: this server's transaction ids would catch up some day, and rows waiting until then would count
    -- as read.
    if anew or session_reaper.is_from_elsewhere(since) then
        since := '1:1:';
        update session_reaper.drain q set drained_to = since;
    end if;
    for taken in
        with noted as materialized (
            select u.place, u.session_key, pg_catalog.pg_current_snapshot() as seen
            from session_reaper.pending_since(since, most) u
        ), numbered as (
            select r.place, r.session_key, r.seen,
                pg_catalog.dense_rank() over (order by r.session_key) as session_number,
                pg_catalog.row_number() over (partition by r.session_key) as in_session
            from noted r
        )
        select n.place, n.session_number, n.in_session, n.seen, :raw_data as raw
        from numbered n
        left join :"session_schema".:"session_table" s on s.:"session_key" = n.session_key and n.in_session = 1
        order by n.session_number, n.in_session
    loop
        place := taken.place::text;
        session_number := taken.session_number;
        seen := taken.seen;
        data := null;
        is_refused := false;
        if taken.in_session = 1 then
            select d.data, d.is_refused into data, is_refused from session_reaper.data_of(taken.raw) d;
        end if;
        return next;
        bytes := bytes + coalesce(pg_catalog.octet_length(data), 0);
        exit when bytes >= most_bytes;
    end loop;
end
$$;

comment on function session_reaper.take_pending_links(integer, boolean, integer) is
    'Up to "most" rows of session_reaper.pending_link, until their data reach "most_bytes", with their sessions'' data: null where the session is gone, and on all but the first row of a session.';

-- A failure on one of these rows fails no statement, which would put it into the server's log: the caller halves the batch.
create or replace function session_reaper.try_link_pending(
    places text[], kinds "char"[], user_texts bytea[], drained_to pg_snapshot,
    out linked bigint, out postponed bigint, out is_refused boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    is_refused := false;
    select l.linked, l.postponed into linked, postponed
        from session_reaper.link_pending(places, kinds, user_texts, drained_to) l;
exception when others or assert_failure then
    if not session_reaper.is_of_the_row(sqlstate) then
        raise;
    end if;
    is_refused := true;
end
$$;

comment on function session_reaper.try_link_pending(text[], "char"[], bytea[], pg_snapshot) is
    'link_pending(); "is_refused" if it fails on the content of one of these rows.';

-- A session that was written several times may have got its user in any of these writes. It is treated as having had the
-- user since the first, as seen by all of them. If it existed before, only the backfill can tell; until that is complete,
-- the session has the given age, which is that of least_age().
create or replace function session_reaper.logins_in(
    places text[], kinds "char"[], users :user_key_type[], all_read boolean, oldest_begun timestamptz, oldest_snapshot pg_snapshot,
    out keys :session_key_base_type[], out user_ids :user_key_type[],
    out xids xid8[], out begun timestamptz[], out snapshots pg_snapshot[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with write as materialized (
        select u.session_key, e.user_id, u.was_there, coalesce(u.xid, u.queued_in) as xid, u.begun_at, u.snapshot
        from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds), pg_catalog.unnest(users))
            as e (place, kind, user_id)
        join session_reaper.pending_link u on u.ctid = e.place::tid
        where e.kind = 'u' and e.user_id is not null
    ), candidate as materialized (
        select w.* from write w
        union all
        -- An existing link counts like a write: a write that is read later may have come first, and must not make the
        -- session younger either.
        select l.session_key, l.user_id, false, l.xid, l.begun_at, l.snapshot
        from (select distinct w.session_key, w.user_id from write w) k
        cross join lateral (
            -- By the key: with old statistics, the planner would scan all links through another index.
            select r.* from session_reaper.user_session r where r.session_key = k.session_key offset 0) l
        where l.user_id = k.user_id and l.from_data
    ), merged as (
        select w.session_key,
            (pg_catalog.array_agg(w.user_id))[1] as user_id,
            pg_catalog.bool_and(w.was_there) and not all_read
                and not exists (
                    select from session_reaper.opened_anonymous o where o.session_key = w.session_key) as is_oldest,
            (pg_catalog.array_agg(w.xid order by w.begun_at, w.xid))[1] as xid,
            (pg_catalog.array_agg(w.xid order by w.xid))[1] as least_xid,
            pg_catalog.min(w.begun_at) as begun_at,
            -- Hardly any session has more than two writes, and a call costs more than all the rest here.
            case when pg_catalog.count(*) = 1 then (pg_catalog.array_agg(w.snapshot))[1]
                else session_reaper.seen_by_all(pg_catalog.array_agg(w.snapshot)) end as snapshot
        from candidate w
        group by w.session_key
    ), session as (
        -- A changing transaction keeps the session that it opened, but not one that it only saved. If another transaction,
        -- begun before the change had committed, may have opened the session, it counts as opened by neither.
        select m.session_key, m.user_id, m.is_oldest, m.begun_at, m.snapshot,
            case when exists (
                select
                from session_reaper.change c
                join candidate w on w.session_key = m.session_key
                where c.xid = m.xid and c.begun_at = m.begun_at
                  and session_reaper.is_older(w.xid, w.begun_at, w.snapshot, c.xid, c.begun_at, c.at, c.newer_from, 'others'))
            then '0'::xid8
            -- Where the clock was set back, the write that seems to have begun first may have come last.
            when exists (select from session_reaper.change c where c.xid = m.xid and c.begun_at = m.begun_at) then m.xid
            else m.least_xid end as xid
        from merged m
    )
    select pg_catalog.array_agg(s.session_key),
        pg_catalog.array_agg(s.user_id),
        pg_catalog.array_agg(case when s.is_oldest then '0'::xid8 else s.xid end),
        pg_catalog.array_agg(case when s.is_oldest then least(s.begun_at, oldest_begun) else s.begun_at end),
        pg_catalog.array_agg(
            case when s.is_oldest then session_reaper.seen_by_all(array[s.snapshot, oldest_snapshot]) else s.snapshot end)
        into keys, user_ids, xids, begun, snapshots
        from session s;
end
$$;

comment on function session_reaper.logins_in(text[], "char"[], :user_key_type[], boolean, timestamptz, pg_snapshot) is
    'Whose sessions these rows of session_reaper.pending_link are (kind u), and since when; one array element per session. For link_pending() only.';

create or replace function session_reaper.put_back(places text[], busy :session_key_base_type[])
returns bigint
language sql
set search_path = pg_catalog, pg_temp
as $$
    with again as (
        insert into session_reaper.pending_link (session_key, was_there, xid, begun_at, snapshot)
        select b.session_key, u.was_there, coalesce(u.xid, u.queued_in), u.begun_at, u.snapshot
        from pg_catalog.unnest(places) as e (place)
        join session_reaper.pending_link u on u.ctid = e.place::tid
        join pg_catalog.unnest(busy) as b (session_key) on b.session_key = u.session_key
        returning true
    )
    select pg_catalog.count(*) from again
$$;

comment on function session_reaper.put_back(text[], :session_key_base_type[]) is
    'Notes again those of these rows whose sessions were locked; returns how many. For link_pending() only.';

create or replace function session_reaper.unlink_nobodys(places text[], kinds "char"[], all_read boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into session_reaper.opened_anonymous (session_key)
    select distinct u.session_key
    from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind)
    join session_reaper.pending_link u on u.ctid = e.place::tid
    where e.kind = 'a' and not u.was_there and not all_read
    on conflict do nothing;
    -- A session that no longer names a user belongs to none.
    delete from session_reaper.user_session l
    where l.session_key = any (array(
        -- One by one by the key: with old statistics, the planner would scan all links through another index.
        select k.session_key
        from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind)
        join session_reaper.pending_link u on u.ctid = e.place::tid
        cross join lateral (
            select r.session_key, r.from_data from session_reaper.user_session r where r.session_key = u.session_key offset 0) k
        where e.kind = 'a' and k.from_data));
    -- Nor does it end with a user who was deleted after leaving it (P2).
    delete from session_reaper.revoked_key n
    where n.from_data and not n.ended
      and n.session_key = any (array(
        select u.session_key
        from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind)
        join session_reaper.pending_link u on u.ctid = e.place::tid
        where e.kind = 'a'));
end
$$;

comment on function session_reaper.unlink_nobodys(text[], "char"[], boolean) is
    'Takes the links off the sessions in which no user is logged in any more (kind a). For link_pending() only.';

create or replace function session_reaper.link_pending(
    places text[], kinds "char"[], user_texts bytea[], drained_to pg_snapshot,
    out linked bigint, out postponed bigint)
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
    user_ids :user_key_type[] := session_reaper.as_user_keys(user_texts);
    all_read boolean;
    oldest record;
    link record;
    busy :session_key_base_type[];
begin
    select a.begun_at, a.snapshot into oldest from session_reaper.least_age() a;
    -- Asked afterwards: once the backfill is complete, no session is as old as that.
    all_read := (select t.complete from session_reaper.backfill t);
    select i.* into link
        from session_reaper.logins_in(places, kinds, user_ids, all_read, oldest.begun_at, oldest.snapshot) i;
    perform session_reaper.count_unreadable(array['no_user_key'], array[pg_catalog.count(*)])
    from pg_catalog.unnest(user_texts) with ordinality as t (text, place)
    where t.text is not null and user_ids[t.place] is null
    having pg_catalog.count(*) > 0;
    linked := 0;
    postponed := 0;
    if link.keys is not null then
        select f.linked, f.busy into linked, busy
            from session_reaper.link_found(link.keys, link.user_ids, link.xids, link.begun, link.snapshots) f;
        postponed := session_reaper.put_back(places, busy);
    end if;
    perform session_reaper.unlink_nobodys(places, kinds, all_read);
    perform session_reaper.date_unlinked_evictions(
        array(select e.place from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind) where e.kind = 'x'));
    delete from session_reaper.pending_link u where u.ctid = any (places::tid[]);
    if drained_to is not null then
        -- A snapshot does not name the transaction that took it, and one with a greater id may have ended already. Then
        -- rows that were put back here would count as read, and would never be looked at again.
        update session_reaper.drain q
        set drained_to = session_reaper.seen_with(link_pending.drained_to, pg_catalog.pg_current_xact_id(), false);
    end if;
end
$$;

comment on function session_reaper.link_pending(text[], "char"[], bytea[], pg_snapshot) is
    'Takes rows off session_reaper.pending_link: links the sessions in which a user was found (kind u), unlinks those without a user (a), and forgets the others. "drained_to" means that there was nothing else.';

-- A full queue takes nothing more, and it gets smaller only when it is emptied. The lock waits only briefly, because all
-- writers of sessions wait behind it.
create or replace function session_reaper.empty_queue()
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_catalog.set_config('lock_timeout', '50ms', true);
    lock table session_reaper.pending_link in access exclusive mode;
    if exists (select from session_reaper.pending_link) then
        return false;
    end if;
    truncate session_reaper.pending_link;
    perform session_reaper.backfill_again('overflow');
    return true;
exception when lock_not_available then
    return false;
end
$$;

comment on function session_reaper.empty_queue() is
    'Makes an empty queue small again, after which the whole table has to be read.';
