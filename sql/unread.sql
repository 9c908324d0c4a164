-- Finding the user of a session that nobody linked: what was written is noted here, read by the daemon (a codec is
-- nothing for SQL), and linked here. The daemon never gets to see a session's key: what it is handed are the data
-- and a handle, because a parameter of a statement can reach the server's log (P7).

-- On every save of session data, so it does nothing but append. Past a size it does not even do that: without a
-- daemon for days, the site's disk is worth more than this queue, and the whole table is read again afterwards.
--
-- How large the queue is costs as much to ask as to append. So a connection asks once, and then looks where its rows
-- come to stand: one beyond the limit is the last that it appends unasked. What it remembers is a setting of its own,
-- which no other app can see. Whoever sets that by hand gets a larger queue, and never a session that is not noted.
create or replace function session_reaper.note_written()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    was_open boolean := coalesce(pg_catalog.current_setting('session_reaper.queue', true) = 'open', false);
    is_open boolean;
begin
    if was_open or not session_reaper.is_queue_full() then
        insert into session_reaper.unread (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE')
            returning ctid < ':queue_limit_place' into is_open;
        if is_open <> was_open then
            perform pg_catalog.set_config('session_reaper.queue', case when is_open then 'open' else 'full' end, false);
        end if;
    else
        -- Holds a lock on the queue until the commit, so that nobody reads the table anew before it shows this write.
        perform from session_reaper.unread where false;
    end if;
    return null;
end
$$;

comment on function session_reaper.note_written() is
    'Notes that the data of this session have to be read for the user in them.';

create or replace function session_reaper.is_queue_full()
returns boolean
language sql
volatile
return pg_catalog.pg_relation_size('session_reaper.unread') >= :queue_limit_bytes;

comment on function session_reaper.is_queue_full() is
    'Whether session_reaper.unread has grown past site.queue_mb: then writes of sessions are no longer noted.';

-- Where the user stands in the row itself, the link is made at once. Whatever is wrong with it must not fail the
-- app's save (P8): then it is left to the daemon like data that SQL cannot read. So is the age of a session that has no
-- link of a user although it was his before this save: nobody noted when he came, so he is older than everything (P1).
create or replace function session_reaper.link_written()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    named text;
    is_key boolean;
    found_id :user_key_type;
    links bigint;
begin
    select u.user_text, u.is_key into named, is_key
        from (select new.*) s cross join lateral (:user_named) u (user_text, is_key);
    if is_key then
        found_id := session_reaper.find_user(named);
    end if;
    if found_id is not null then
        insert into session_reaper.user_session as l (session_key, user_id, read)
        values (new.:"session_key", found_id, true)
        on conflict on constraint user_session_pkey do update
            set user_id = excluded.user_id, xid = excluded.xid, begun_at = excluded.begun_at,
                snapshot = excluded.snapshot, credential_version = null, read = true, linked_at = excluded.linked_at
            where l.user_id is distinct from excluded.user_id;
        get diagnostics links = row_count;
        if links > 0 and tg_op = 'UPDATE' then
            insert into session_reaper.unread (session_key, was_there, xid, begun_at, snapshot)
            select new.:"session_key", true, '0', '-infinity', '1:1:'
            from (select old.*) s cross join lateral (:user_named) u (user_text, is_key)
            where u.user_text = named;
        end if;
        return null;
    end if;
    delete from session_reaper.user_session l where l.session_key = new.:"session_key" and l.read;
    if coalesce(named, '') <> '' then
        insert into session_reaper.unread (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE');
    end if;
    return null;
exception when others then
    insert into session_reaper.unread (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE');
    return null;
end
$$;

comment on function session_reaper.link_written() is
    'Links a session to the user whom its row names, in the transaction that writes it.';

-- What has been committed since the queue was last read: rows of transactions that "read_to" does not see. Those that
-- were running then are looked up one by one, so that neither a transaction that stays open for an hour nor the rows
-- that vacuum cannot take away because of it make this read anything twice.
-- "most" stands here, and not at the call, where it would come too late: whoever wants a thousand rows of a million
-- reads a thousand.
-- A "read_to" from this server's future came with a dump from another one, and says nothing here.
create or replace function session_reaper.unread_since(read_to pg_snapshot, most integer default null)
returns table (place tid, session_key :session_key_base_type, was_there boolean, xid xid8, begun_at timestamptz, snapshot pg_snapshot)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
    with effective as materialized (
        select case
            when pg_catalog.pg_snapshot_xmax(read_to) > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
            then '1:1:' else read_to end as read_to
    )
    (select u.ctid, u.session_key, u.was_there, coalesce(u.xid, u.queued_in), u.begun_at, u.snapshot
    from effective e
    cross join lateral pg_catalog.pg_snapshot_xip(e.read_to) running (xid)
    -- Each by the index: what others have queued since is of no interest here.
    cross join lateral (select w.ctid, w.* from session_reaper.unread w where w.queued_in = running.xid offset 0) u)
    union all
    (select u.ctid, u.session_key, u.was_there, coalesce(u.xid, u.queued_in), u.begun_at, u.snapshot
    from session_reaper.unread u
    where u.queued_in >= (select pg_catalog.pg_snapshot_xmax(e.read_to) from effective e)
    order by u.queued_in)
    limit most
$$;

comment on function session_reaper.unread_since(pg_snapshot, integer) is
    'Rows of session_reaper.unread that were committed after this snapshot, up to "most" of them. For the functions of this schema only.';

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
    if anew or pg_catalog.pg_snapshot_xmax(since) > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) then
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

-- The user's key in the type of the site, for many at once. As UTF-8 and not as text: letters that the encoding of the
-- database lacks would fail the statement that brings them, and with it the reading of everything else. One text that is no key of that type fails the quick way for
-- all; then each is looked at alone. A domain has checks of its own.
create or replace function session_reaper.as_user_keys(texts bytea[])
returns :user_key_type[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    keys :user_key_type[] := '{}';
begin
    return array(
        select cast(pg_catalog.convert_from(t.text, 'UTF8') as :user_key_type)
        from pg_catalog.unnest(texts) with ordinality as t (text, place) order by t.place);
exception when data_exception or check_violation then
    for i in 1 .. pg_catalog.cardinality(texts) loop
        begin
            keys := keys || cast(pg_catalog.convert_from(texts[i], 'UTF8') as :user_key_type);
        exception when data_exception or check_violation then
            keys := keys || cast(null as :user_key_type);
        end;
    end loop;
    return keys;
end
$$;

comment on function session_reaper.as_user_keys(bytea[]) is
    'These texts, in UTF-8, as keys of users; null for one that is no key of that type.';

-- The foreign keys plan their look-ups by the settings in force here: a custom plan for each row would be most of the work.
create or replace function session_reaper.make_links(
    keys :session_key_base_type[], user_ids :user_key_type[],
    xids xid8[], begun timestamptz[], snapshots pg_snapshot[], out linked bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
begin
    with made as (
        insert into session_reaper.user_session as l (session_key, user_id, xid, begun_at, snapshot, read)
        select f.session_key, f.user_id, f.xid, f.begun_at, f.snapshot, true
        from rows from (
            pg_catalog.unnest(keys), pg_catalog.unnest(user_ids),
            pg_catalog.unnest(xids), pg_catalog.unnest(begun), pg_catalog.unnest(snapshots)
        ) as f (session_key, user_id, xid, begun_at, snapshot)
        order by f.session_key
        on conflict on constraint user_session_pkey do update
            set user_id = excluded.user_id, xid = excluded.xid, begun_at = excluded.begun_at,
                snapshot = excluded.snapshot, credential_version = null, read = true, linked_at = excluded.linked_at
            -- Of the same user's, what comes here has taken in what stood here; only a page of the table may have come
            -- between, and that is older than everything.
            where l.user_id is distinct from excluded.user_id
               or l.read and excluded.begun_at <= l.begun_at
                  and (excluded.begun_at < l.begun_at or excluded.xid <> l.xid or excluded.snapshot::text <> l.snapshot::text)
        returning l.user_id, l.session_key, l.xid, l.begun_at, l.snapshot
    ), reopened as (
        -- The changes that it is older than may have settled long ago.
        update session_reaper.revocation r
        set state = 'requested', horizon_id = null, settled_at = null, next_attempt_at = '-infinity', attempts = 0
        where r.id = any (array(
            select o.id
            from made m
            cross join lateral (
                select u.* from session_reaper.revocation u where u.user_id = m.user_id and u.scope = 'user'
                union all
                select e.* from session_reaper.revocation e where e.scope = 'all'
            ) o
            join session_reaper.change c on c.id = o.change_id
            where o.state = 'settled'
              and session_reaper.is_older(m.xid, m.begun_at, m.snapshot, c.xid, c.begun_at, c.at, o.policy)
              and not session_reaper.is_kept(m.session_key, o.keep_digest, o.policy)))
    )
    select pg_catalog.count(*) into linked from made;
end
$$;

comment on function session_reaper.make_links(:session_key_base_type[], :user_key_type[], xid8[], timestamptz[], pg_snapshot[]) is
    'Links sessions to users that are there, and opens those revocations again that they are older than. For link_found() only.';

-- Makes the links that were found. Never waits for a row lock (P6), and never fails on a foreign key, whose message would
-- put the key into the server's log (P7): what is locked is left out, to be tried again, and what is gone is forgotten.
-- First it tries without having looked who is locked, which is most of the work. There it waits for a moment at most,
-- which is enough for others that link, too, and make the same table longer; an error that is caught here is logged nowhere.
create or replace function session_reaper.link_found(
    keys :session_key_base_type[], user_ids :user_key_type[],
    xids xid8[], begun timestamptz[], snapshots pg_snapshot[],
    out linked bigint, out busy :session_key_base_type[])
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
-- What is set below holds until the end of this function.
set lock_timeout = '400ms'
as $$
declare
    free_keys :session_key_base_type[];
    free_users :user_key_type[];
    free record;
begin
    -- Users who are gone leave their sessions behind, so that this is known beforehand.
    if (select pg_catalog.count(*) from :"user_schema".:"user_table" u where u.:"user_key" = any (user_ids))
        = (select pg_catalog.count(distinct f.user_id) from pg_catalog.unnest(user_ids) as f (user_id))
    then
        begin
            perform pg_catalog.set_config('lock_timeout', '20ms', true);
            linked := session_reaper.make_links(keys, user_ids, xids, begun, snapshots);
            busy := '{}';
            return;
        exception when lock_not_available or foreign_key_violation then
            null;
        end;
    end if;
    free_keys := array(
        select s.:"session_key" from :"session_schema".:"session_table" s
        where s.:"session_key" = any (keys)
        order by s.:"session_key"
        for key share skip locked);
    free_users := array(
        select u.:"user_key" from :"user_schema".:"user_table" u
        where u.:"user_key" = any (user_ids)
        order by u.:"user_key"
        for key share skip locked);
    -- One by one: the app itself may be linking one of these, in a transaction that is open for long.
    linked := 0;
    perform pg_catalog.set_config('lock_timeout', '1ms', true);
    for free in
        select f.*
        from rows from (
            pg_catalog.unnest(keys), pg_catalog.unnest(user_ids),
            pg_catalog.unnest(xids), pg_catalog.unnest(begun), pg_catalog.unnest(snapshots)
        ) as f (session_key, user_id, xid, begun_at, snapshot)
        where f.session_key = any (free_keys) and f.user_id = any (free_users)
        order by f.session_key
    loop
        begin
            linked := linked + session_reaper.make_links(
                array[free.session_key], array[free.user_id], array[free.xid], array[free.begun_at], array[free.snapshot]);
        exception when lock_not_available then
            free_keys := pg_catalog.array_remove(free_keys, free.session_key);
        end;
    end loop;
    -- Asked before the deletions are looked up: one that commits in between is then seen by those, instead of by neither.
    busy := array(
        select f.session_key
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(user_ids)) as f (session_key, user_id)
        where not (f.session_key = any (free_keys) and f.user_id = any (free_users))
          and exists (select from :"session_schema".:"session_table" s where s.:"session_key" = f.session_key)
          and exists (select from :"user_schema".:"user_table" u where u.:"user_key" = f.user_id));
    -- Of a user who has been deleted, and whose deletion could not know of this session.
    with named as (
        insert into session_reaper.revoked_key as k (revocation_id, session_key)
        select r.id, f.session_key
        from rows from (
            pg_catalog.unnest(keys), pg_catalog.unnest(user_ids),
            pg_catalog.unnest(xids), pg_catalog.unnest(begun), pg_catalog.unnest(snapshots)
        ) as f (session_key, user_id, xid, begun_at, snapshot)
        join session_reaper.revocation r on r.user_id = f.user_id and r.scope = 'session' and r.reason = 'deleted'
        join session_reaper.change c on c.id = r.change_id
        where f.user_id <> all (free_users)
          and not exists (select from :"user_schema".:"user_table" u where u.:"user_key" = f.user_id)
          and session_reaper.is_older(f.xid, f.begun_at, f.snapshot, c.xid, c.begun_at, c.at, r.policy)
        -- Ended under the same key before, and written back by a transaction that is older all the same.
        on conflict on constraint revoked_key_pkey do update set grace_over = false where k.grace_over
        returning k.revocation_id
    )
    update session_reaper.revocation r
    set state = 'requested', horizon_id = null, settled_at = null, next_attempt_at = '-infinity', attempts = 0
    where r.id in (select n.revocation_id from named n) and r.state = 'settled';
    perform session_reaper.count_unreadable(array['nobody'], array[pg_catalog.count(*)])
    from pg_catalog.unnest(user_ids) as f (user_id)
    where f.user_id <> all (free_users)
      and not exists (select from :"user_schema".:"user_table" u where u.:"user_key" = f.user_id)
    having pg_catalog.count(*) > 0;
end
$$;

comment on function session_reaper.link_found(:session_key_base_type[], :user_key_type[], xid8[], timestamptz[], pg_snapshot[]) is
    'Links sessions to the users that were found in them, and opens those revocations again that they are older than; returns how many, and the keys that were locked.';

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
    perform session_reaper.date_unread_evictions(
        array(select e.place from rows from (pg_catalog.unnest(places), pg_catalog.unnest(kinds)) as e (place, kind) where e.kind = 'x'));
    delete from session_reaper.unread u where u.ctid = any (places::tid[]);
    if read_to is not null then
        -- A snapshot does not name the transaction that took it, and one with a greater id may have ended already: what
        -- was put back here would count as read, and never be looked at again.
        update session_reaper.queue_reading q
        set read_to = case
            when pg_catalog.pg_visible_in_snapshot(pg_catalog.pg_current_xact_id(), link_unread.read_to) then
                pg_catalog.format('%s:%s:%s',
                    pg_catalog.pg_snapshot_xmin(link_unread.read_to),
                    pg_catalog.pg_snapshot_xmax(link_unread.read_to),
                    (select pg_catalog.string_agg(r.xid::text, ',' order by r.xid)
                     from (
                         select x as xid from pg_catalog.pg_snapshot_xip(link_unread.read_to) x
                         union select pg_catalog.pg_current_xact_id()
                     ) r))::pg_snapshot
            else link_unread.read_to end;
    end if;
end
$$;

comment on function session_reaper.link_unread(text[], "char"[], bytea[], pg_snapshot) is
    'Takes rows off session_reaper.unread: links the sessions in which a user was found (kind u), unlinks those that are nobody''s (a), and forgets the others. "read_to" says that nothing else was there.';

create or replace function session_reaper.seen_by_all(snapshots pg_snapshot[])
returns pg_snapshot
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case when pg_catalog.cardinality(snapshots) = 1 then snapshots[1] else (
        select pg_catalog.format('%s:%s:%s',
            (select x from pg_catalog.unnest(snapshots) s, pg_snapshot_xmin(s) x order by x limit 1),
            e.xmax,
            (select pg_catalog.string_agg(r.xid::text, ',' order by r.xid)
             from (select distinct x as xid from pg_catalog.unnest(snapshots) s, pg_snapshot_xip(s) x) r
             where r.xid < e.xmax))::pg_snapshot
        from (select x as xmax from pg_catalog.unnest(snapshots) s, pg_snapshot_xmax(s) x order by x limit 1) e) end
$$;

comment on function session_reaper.seen_by_all(pg_snapshot[]) is
    'A snapshot that sees what all of these see, and nothing else.';

-- After the installation, and whenever writes were not noted, every session has to be read. Asked for in the
-- transaction that attaches the triggers, which waits for all writers: what they wrote before is in the table, what they
-- write afterwards is in the queue.
create or replace function session_reaper.read_all_again(why text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    -- In this order: whoever cuts pages holds that row, and whoever reads one never waits for it.
    update session_reaper.table_reading t
    set complete = false, reason = why, begun_at = pg_catalog.clock_timestamp(), finished_at = null,
        sessions = 0, linked = 0, reached = null;
    delete from session_reaper.page;
    delete from session_reaper.opened_anonymous;
$$;

comment on function session_reaper.read_all_again(text) is 'Has every session read for the user in it.';

-- The next page of the table in key order, for whoever calls page() and link_page() in the same transaction.
create or replace function session_reaper.claim_page(most integer, out id bigint, out completed boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    completed := false;
    if session_reaper.is_paused() then
        return;
    end if;
    id := session_reaper.free_page();
    if id is null then
        completed := session_reaper.cut_pages(most);
        id := session_reaper.free_page();
    end if;
end
$$;

comment on function session_reaper.claim_page(integer) is
    'Takes the next page of the table to be read, of "most" sessions if there is none yet; null if all have been, or others have them in hand. "completed" says that this was found out just now.';

create or replace function session_reaper.free_page()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select p.id from session_reaper.page p where not p.done order by p.id limit 1 for update skip locked
$$;

comment on function session_reaper.free_page() is 'Locks a page that nobody has read or has in hand.';

-- Cuts off the next pages, so many that several may read for a while. The reading is complete when no page is left and
-- no more can be cut.
create or replace function session_reaper.cut_pages(most integer)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
declare
    pages constant integer := 16;
    after_key :session_key_base_type;
    last_key :session_key_base_type;
begin
    select t.reached into after_key from session_reaper.table_reading t where not t.complete for update skip locked;
    if not found then
        return false;
    end if;
    with read as (
        delete from session_reaper.page p where p.done returning p.sessions, p.linked
    )
    update session_reaper.table_reading t
    set sessions = t.sessions + r.sessions, linked = t.linked + r.linked
    from (select pg_catalog.sum(d.sessions)::bigint as sessions, pg_catalog.sum(d.linked)::bigint as linked from read d) r
    where r.sessions is not null;
    for i in 1 .. pages loop
        select s.:"session_key" into last_key
            from :"session_schema".:"session_table" s
            where after_key is null or s.:"session_key" > after_key
            order by s.:"session_key"
            offset most - 1 limit 1;
        if not found then
            -- The last one has fewer.
            select s.:"session_key" into last_key
                from :"session_schema".:"session_table" s
                where after_key is null or s.:"session_key" > after_key
                order by s.:"session_key" desc
                limit 1;
        end if;
        exit when last_key is null;
        insert into session_reaper.page (after_key, to_key) values (after_key, last_key);
        after_key := last_key;
    end loop;
    select p.to_key into last_key from session_reaper.page p order by p.id desc limit 1;
    if found then
        update session_reaper.table_reading t set reached = last_key;
        return false;
    end if;
    update session_reaper.table_reading t
    set complete = true, reached = null, finished_at = pg_catalog.clock_timestamp();
    delete from session_reaper.opened_anonymous;
    return true;
end
$$;

comment on function session_reaper.cut_pages(integer) is
    'Cuts the next pages of "most" sessions off the table, unless another daemon is at it; true if all have been read.';

-- Not called immutable, which the conversion is not either: then each call would cost ten times as much, because
-- PostgreSQL could not put the expression in its place.
create or replace function session_reaper.key_digest(session_key :session_key_base_type)
returns bytea
language sql
stable
parallel safe
return pg_catalog.sha256(:session_key_bytes);

comment on function session_reaper.key_digest(:session_key_base_type) is
    'SHA-256 of a session key: tells sessions apart without giving one away.';

-- Handles are digests, since the page is looked up again in another statement, and by then rows may have moved. Sessions
-- that the app has linked are passed over, and so are those that were linked since this reading was asked for. An older
-- link that was read says whose the session was before writes went by unnoted, and not whose it is. Those in the queue
-- are passed over, too: what stands there says how old their logins are, while what is found here counts as older than
-- everything (P2).
create or replace function session_reaper.page(page_id bigint, out digest bytea, out data bytea)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
declare
    after_key :session_key_base_type;
    last_key :session_key_base_type;
    asked_at timestamptz := (select t.begun_at from session_reaper.table_reading t);
    -- In the first reading there are none, and the indexes alone tell what is linked.
    has_older_links boolean := exists (select from session_reaper.user_session l where l.linked_at < asked_at);
begin
    select p.after_key, p.to_key into strict after_key, last_key from session_reaper.page p where p.id = page_id;
    return query
        select session_reaper.key_digest(s.:"session_key"), :data
        from (
            -- By the two indexes alone, side by side: where nearly all are linked, hardly any data are looked at.
            select k.:"session_key" as session_key
            from :"session_schema".:"session_table" k
            where (after_key is null or k.:"session_key" > after_key) and k.:"session_key" <= last_key
              and not exists (
                select
                from session_reaper.user_session l
                where l.session_key = k.:"session_key"
                  and (not has_older_links or not l.read or l.linked_at >= asked_at)
                  and (after_key is null or l.session_key > after_key) and l.session_key <= last_key)
            offset 0
        ) n
        cross join lateral (
            select d.* from :"session_schema".:"session_table" d where d.:"session_key" = n.session_key offset 0) s
        where n.session_key <> all (array(
            select u.session_key
            from session_reaper.queue_reading q
            cross join lateral session_reaper.unread_since(q.read_to) u));
end
$$;

comment on function session_reaper.page(bigint) is 'The data of those sessions of the claimed page whose links do not say whose they are.';

-- Links what was found in that page, as older than everything: nobody knows when these logged in. A link that was read
-- before and names somebody else goes, and so does one of a session that is nobody's now. The same user's stays as it
-- is, because it knows how old it is (P2). Where a link goes, what was read has to stand there still, or whoever has
-- logged in since would lose the one that he has got: "seen" are digests of the data.
create or replace function session_reaper.link_page(
    page_id bigint, digests bytea[], user_texts bytea[], seen bytea[], out sessions bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
declare
    after_key :session_key_base_type;
    last_key :session_key_base_type;
    asked_at timestamptz := (select t.begun_at from session_reaper.table_reading t);
    -- In the first reading there are none, and looking for each of a million sessions would take its time.
    has_older_links boolean := exists (select from session_reaper.user_session l where l.linked_at < asked_at);
    made bigint := 0;
    busy :session_key_base_type[] := '{}';
    keys :session_key_base_type[];
    user_ids :user_key_type[];
    changed_keys :session_key_base_type[];
    changed_users :user_key_type[];
    changed_seen bytea[];
    freed :session_key_base_type[];
begin
    select p.after_key, p.to_key into strict after_key, last_key
        from session_reaper.page p where p.id = page_id and not p.done for update;
    if pg_catalog.cardinality(digests) > 0 then
        select pg_catalog.array_agg(f.session_key) filter (where not f.is_linked and f.user_id is not null),
            pg_catalog.array_agg(f.user_id) filter (where not f.is_linked and f.user_id is not null),
            pg_catalog.array_agg(f.session_key) filter (where f.is_linked),
            pg_catalog.array_agg(f.user_id) filter (where f.is_linked),
            pg_catalog.array_agg(f.seen) filter (where f.is_linked)
            into keys, user_ids, changed_keys, changed_users, changed_seen
            from (
                select s.:"session_key" as session_key, r.user_id, r.seen, l.user_id is not null as is_linked
                from rows from (
                    pg_catalog.unnest(digests), pg_catalog.unnest(user_texts),
                    pg_catalog.unnest(session_reaper.as_user_keys(user_texts)), pg_catalog.unnest(link_page.seen)
                ) as r (digest, user_text, user_id, seen)
                join :"session_schema".:"session_table" s on session_reaper.key_digest(s.:"session_key") = r.digest
                left join lateral (
                    -- By the key: old statistics would have all links looked through by another index.
                    select o.user_id from session_reaper.user_session o
                    where has_older_links and o.session_key = s.:"session_key" and o.read and o.linked_at < asked_at
                    offset 0) l on true
                where (after_key is null or s.:"session_key" > after_key) and s.:"session_key" <= last_key
                  -- Whose it is must be known, and be news.
                  and (r.user_id is not null or r.user_text is null)
                  and l.user_id is distinct from r.user_id
            ) f;
    end if;
    if changed_keys is not null then
        -- Nobody can save these now until the commit; whoever was about to is not waited for (P6).
        freed := array(
            select s.:"session_key"
            from rows from (pg_catalog.unnest(changed_keys), pg_catalog.unnest(changed_seen)) as c (session_key, seen)
            join :"session_schema".:"session_table" s on s.:"session_key" = c.session_key
            where pg_catalog.sha256(:data) is not distinct from c.seen
            order by s.:"session_key"
            for no key update of s skip locked);
        freed := array(
            select l.session_key from session_reaper.user_session l
            where l.session_key = any (freed) and l.read
            order by l.session_key
            for update skip locked);
        delete from session_reaper.user_session l where l.session_key = any (freed);
        select pg_catalog.array_agg(c.session_key) filter (where c.session_key <> all (freed)),
            keys || pg_catalog.array_agg(c.session_key) filter (where c.session_key = any (freed) and c.user_id is not null),
            user_ids || pg_catalog.array_agg(c.user_id) filter (where c.session_key = any (freed) and c.user_id is not null)
            into busy, keys, user_ids
            from rows from (pg_catalog.unnest(changed_keys), pg_catalog.unnest(changed_users)) as c (session_key, user_id);
        insert into session_reaper.unread (session_key, was_there, xid, begun_at, snapshot)
        select b.session_key, true, '0', '-infinity', '1:1:' from pg_catalog.unnest(busy) as b (session_key);
    end if;
    if keys is not null then
        select f.linked, f.busy into made, busy
            from session_reaper.link_found(
                keys, user_ids,
                pg_catalog.array_fill('0'::xid8, array[pg_catalog.cardinality(keys)]),
                pg_catalog.array_fill('-infinity'::timestamptz, array[pg_catalog.cardinality(keys)]),
                pg_catalog.array_fill('1:1:'::pg_snapshot, array[pg_catalog.cardinality(keys)])) f;
        insert into session_reaper.unread (session_key, was_there, xid, begun_at, snapshot)
        select b.session_key, true, '0', '-infinity', '1:1:' from pg_catalog.unnest(busy) as b (session_key);
    end if;
    select pg_catalog.count(*) into sessions
        from :"session_schema".:"session_table" s
        where (after_key is null or s.:"session_key" > after_key) and s.:"session_key" <= last_key;
    update session_reaper.page p
    set done = true, sessions = link_page.sessions, linked = made
    where p.id = page_id;
end
$$;

comment on function session_reaper.link_page(bigint, bytea[], bytea[], bytea[]) is
    'Links the sessions of the page that claim_page() took, and unlinks those in which nobody was found (no text); returns how many it had, linked or not.';

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

-- Where the app links its sessions itself, nothing waits to be read.
create or replace function session_reaper.stop_reading()
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    delete from session_reaper.unread;
    update session_reaper.table_reading t set complete = true where not t.complete;
    delete from session_reaper.page;
$$;

comment on function session_reaper.stop_reading() is 'Forgets what has not been read.';

-- Counted in the database, so that it is seen whoever read it.
create or replace function session_reaper.count_unreadable(reasons text[], writes bigint[])
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into session_reaper.unreadable as u (reason, writes)
    select n.reason, n.writes
    from rows from (pg_catalog.unnest(reasons), pg_catalog.unnest(writes)) as n (reason, writes)
    order by n.reason
    on conflict on constraint unreadable_pkey do update
        set writes = u.writes + excluded.writes, last_seen_at = excluded.last_seen_at
$$;

comment on function session_reaper.count_unreadable(text[], bigint[]) is 'Counts data in which no user could be found.';

-- Asked before a revocation settles (P1). How full the queue is first: who empties it has the table read again in the same
-- transaction, and what is looked at afterwards shows that.
create or replace function session_reaper.may_be_unread(change_xid xid8, change_begun_at timestamptz, change_at timestamptz, policy text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if session_reaper.is_queue_full() then
        return true;
    end if;
    return not (select t.complete from session_reaper.table_reading t)
        or exists (
            select
            from session_reaper.queue_reading q
            cross join lateral session_reaper.unread_since(q.read_to) u
            where session_reaper.is_older(u.xid, u.begun_at, u.snapshot, change_xid, change_begun_at, change_at, policy));
end
$$;

comment on function session_reaper.may_be_unread(xid8, timestamptz, timestamptz, text) is
    'Whether a session that nobody has read yet could be older than this change.';
