-- Reading what was noted: the daemon takes rows off the queue, finds out who stands in the data, and links.

-- Called in a transaction that then calls link_unread(). Whoever holds the row of queue_reading reads; the others
-- wait for it, holding nothing. "anew" reads the queue from its beginning, as the first reading of a daemon does:
-- in a database that was restored from a dump, transaction ids have begun anew.
create or replace function session_reaper.take_unread(
    most integer, anew boolean, out place text, out session_number bigint, out data bytea, out seen pg_snapshot)
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
declare
    since pg_snapshot;
begin
    if session_reaper.is_paused() then
        return;
    end if;
    select q.read_to into since from session_reaper.queue_reading q for update;
    -- For good: this server's transaction ids would catch up some day, and what waits until then would count as read.
    if anew or session_reaper.is_from_elsewhere(since) then
        since := '1:1:';
        update session_reaper.queue_reading q set read_to = since;
    end if;
    return query
        with taken as materialized (
            select u.place, u.session_key, pg_catalog.pg_current_snapshot() as seen
            from session_reaper.unread_since(since, most) u
        ), numbered as (
            select t.place, t.session_key, t.seen,
                pg_catalog.dense_rank() over (order by t.session_key) as session_number,
                pg_catalog.row_number() over (partition by t.session_key) as in_session
            from taken t
        )
        -- A session's data are sent once, however often it has been saved.
        select n.place::text, n.session_number, case when n.in_session = 1 then :data end, n.seen
        from numbered n
        left join :"session_schema".:"session_table" s on s.:"session_key" = n.session_key and n.in_session = 1
        order by n.session_number, n.in_session;
end
$$;

comment on function session_reaper.take_unread(integer, boolean) is
    'Up to "most" rows of session_reaper.unread, with the data of their sessions: null where the session is gone, and on all rows of a session but the first.';

-- A session that was written several times may have got its user by any of these writes: it is held to have had him
-- since the first, as seen by all of them. Where it was there before, only the first reading of the table can tell;
-- until that is complete, the session counts as older than every change.
create or replace function session_reaper.link_unread(
    places text[], kinds "char"[], user_texts bytea[], read_to pg_snapshot,
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
    all_read boolean := (select t.complete from session_reaper.table_reading t);
    link record;
    busy :session_key_base_type[];
begin
    with write as materialized (
        select u.session_key, e.user_id, u.was_there, coalesce(u.xid, u.queued_in) as xid, u.begun_at, u.snapshot
        from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds), pg_catalog.unnest(user_ids))
            as e (place, kind, user_id)
        join session_reaper.unread u on u.ctid = e.place::tid
        where e.kind = 'u' and e.user_id is not null
    ), candidate as materialized (
        select w.* from write w
        union all
        -- What was found before counts like a write: one that is read later may have come first, and must not make the
        -- session younger either.
        select l.session_key, l.user_id, false, l.xid, l.begun_at, l.snapshot
        from (select distinct w.session_key, w.user_id from write w) k
        cross join lateral (
            -- By the key: old statistics would have all links looked through by another index.
            select r.* from session_reaper.user_session r where r.session_key = k.session_key offset 0) l
        where l.user_id = k.user_id and l.read
    ), merged as (
        select w.session_key,
            (pg_catalog.array_agg(w.user_id))[1] as user_id,
            pg_catalog.bool_and(w.was_there) and not all_read
                and not exists (
                    select from session_reaper.opened_anonymous o where o.session_key = w.session_key) as is_oldest,
            (pg_catalog.array_agg(w.xid order by w.begun_at, w.xid))[1] as xid,
            pg_catalog.min(w.begun_at) as begun_at,
            -- Hardly any has more than two, and a call costs more than all the rest here.
            case when pg_catalog.count(*) = 1 then (pg_catalog.array_agg(w.snapshot))[1]
                else session_reaper.seen_by_all(pg_catalog.array_agg(w.snapshot)) end as snapshot
        from candidate w
        group by w.session_key
    ), session as (
        -- A changing transaction keeps the session that it opened, and not one that it only saved: if somebody else, who
        -- began before the change had committed, may have opened it, it is held to be nobody's of these.
        select m.session_key, m.user_id, m.is_oldest, m.begun_at, m.snapshot,
            case when exists (
                select
                from session_reaper.change c
                join candidate w on w.session_key = m.session_key
                where c.xid = m.xid and c.begun_at = m.begun_at
                  and session_reaper.is_older(w.xid, w.begun_at, w.snapshot, c.xid, c.begun_at, c.at, 'others'))
            then '0'::xid8 else m.xid end as xid
        from merged m
    )
    select pg_catalog.array_agg(s.session_key) as keys,
        pg_catalog.array_agg(s.user_id) as user_ids,
        pg_catalog.array_agg(case when s.is_oldest then '0'::xid8 else s.xid end) as xids,
        pg_catalog.array_agg(case when s.is_oldest then '-infinity'::timestamptz else s.begun_at end) as begun,
        pg_catalog.array_agg(case when s.is_oldest then '1:1:'::pg_snapshot else s.snapshot end) as snapshots
        into link
        from session s;
    perform session_reaper.count_unreadable(array['no_user_key'], array[pg_catalog.count(*)])
    from pg_catalog.unnest(user_texts) with ordinality as t (text, place)
    where t.text is not null and user_ids[t.place] is null
    having pg_catalog.count(*) > 0;
    linked := 0;
    postponed := 0;
    if link.keys is not null then
        select f.linked, f.busy into linked, busy
            from session_reaper.link_found(link.keys, link.user_ids, link.xids, link.begun, link.snapshots) f;
        insert into session_reaper.unread (session_key, was_there, xid, begun_at, snapshot)
        select b.session_key, u.was_there, coalesce(u.xid, u.queued_in), u.begun_at, u.snapshot
        from pg_catalog.unnest(places) as e (place)
        join session_reaper.unread u on u.ctid = e.place::tid
        join pg_catalog.unnest(busy) as b (session_key) on b.session_key = u.session_key;
        get diagnostics postponed = row_count;
    end if;
    insert into session_reaper.opened_anonymous (session_key)
    select distinct u.session_key
    from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind)
    join session_reaper.unread u on u.ctid = e.place::tid
    where e.kind = 'a' and not u.was_there and not all_read
    on conflict do nothing;
    -- What names nobody any more is nobody's.
    delete from session_reaper.user_session l
    where l.session_key = any (array(
        -- One by one by the key: old statistics would have all links looked through by another index.
        select k.session_key
        from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind)
        join session_reaper.unread u on u.ctid = e.place::tid
        cross join lateral (
            select r.session_key, r.read from session_reaper.user_session r where r.session_key = u.session_key offset 0) k
        where e.kind = 'a' and k.read));
    -- Nor does it end with whoever was deleted after he had left it (P2).
    delete from session_reaper.revoked_key n
    where n.read and not n.ended
      and n.session_key = any (array(
        select u.session_key
        from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind)
        join session_reaper.unread u on u.ctid = e.place::tid
        where e.kind = 'a'));
    perform session_reaper.date_unread_evictions(
        array(select e.place from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind) where e.kind = 'x'));
    delete from session_reaper.unread u where u.ctid = any (places::tid[]);
    if read_to is not null then
        -- A snapshot does not name the transaction that took it, and one with a greater id may have ended already: what
        -- was put back here would count as read, and never be looked at again.
        update session_reaper.queue_reading q
        set read_to = session_reaper.seen_with(link_unread.read_to, pg_catalog.pg_current_xact_id(), false);
    end if;
end
$$;

comment on function session_reaper.link_unread(text[], "char"[], bytea[], pg_snapshot) is
    'Takes rows off session_reaper.unread: links the sessions in which a user was found (kind u), unlinks those that are nobody''s (a), and forgets the others. "read_to" says that nothing else was there.';

-- The queue takes nothing more while it is full, and only emptied does it get smaller. The lock is hardly waited for: all
-- writers of sessions wait behind it.
create or replace function session_reaper.empty_queue()
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_catalog.set_config('lock_timeout', '50ms', true);
    lock table session_reaper.unread in access exclusive mode;
    if exists (select from session_reaper.unread) then
        return false;
    end if;
    truncate session_reaper.unread;
    perform session_reaper.read_all_again('overflow');
    return true;
exception when lock_not_available then
    return false;
end
$$;

comment on function session_reaper.empty_queue() is
    'Makes an empty queue small again, after which the whole table has to be read.';
