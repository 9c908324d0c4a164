-- Finding the user of a session that the app has not linked. Writes are noted here, read by the daemon (SQL is not suited
-- for a codec), and linked here. The daemon never sees a session's key: it gets the data and a handle, because a parameter
-- of a statement can reach the server's log (P7).

-- Runs on every save of session data, so it only appends. Beyond a certain size it does not even do that: if no daemon runs
-- for days, the site's disk is worth more than this queue, and the whole table is read again afterwards.
--
-- Asking for the size of the queue costs as much as appending. So a connection asks once, and then looks at where its rows
-- are put: one beyond the limit is the last that it appends without asking. It remembers this in its own setting, which no
-- other connection can see. Setting that by hand leads to a larger queue, and never to a session that is not noted.
create or replace function session_reaper.note_write(written :session_key_base_type, was_there boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    was_open boolean := coalesce(pg_catalog.current_setting('session_reaper.queue', true) = 'open', false);
    is_open boolean;
begin
    if was_open or not session_reaper.is_queue_full() then
        insert into session_reaper.pending_link (session_key, was_there) values (written, note_write.was_there)
            returning ctid < ':queue_limit_place' into is_open;
        if is_open <> was_open then
            perform pg_catalog.set_config('session_reaper.queue', case when is_open then 'open' else 'full' end, false);
        end if;
    else
        -- Holds a lock on the queue until the commit, so that no daemon reads the table anew before it shows this write. A
        -- daemon that has done so in the meantime has made room.
        perform from session_reaper.pending_link where false;
        if not session_reaper.is_queue_full() then
            insert into session_reaper.pending_link (session_key, was_there) values (written, note_write.was_there);
        end if;
    end if;
end
$$;

comment on function session_reaper.note_write(:session_key_base_type, boolean) is
    'Notes that the data of this session have to be read, as long as the queue is not full. For the functions of this schema only.';

-- A failure is caught, and a session that was not noted is made known (P1). Only the first save of a transaction pays for
-- that: once it has noted one, its locks keep both tables as they are. A subtransaction for each row of a bulk change would
-- slow down the snapshots of all transactions.
create or replace function session_reaper.note_written()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_catalog.current_setting('session_reaper.noting', true) = 'on' then
        perform session_reaper.note_write(new.:"session_key", tg_op = 'UPDATE');
        return null;
    end if;
    begin
        perform session_reaper.note_write(new.:"session_key", tg_op = 'UPDATE');
        -- What arrives by replication must never fail.
        if not session_reaper.is_replica() then
            perform pg_catalog.set_config('session_reaper.noting', 'on', true);
        end if;
    exception when others or assert_failure then
        perform session_reaper.miss('write', sqlstate);
    end;
    return null;
end
$$;

comment on function session_reaper.note_written() is
    'Notes that the data of this session have to be read for the user in them. Never fails the save.';

create or replace function session_reaper.is_queue_full()
returns boolean
language sql
volatile
return pg_catalog.pg_relation_size('session_reaper.pending_link') >= :queue_limit_bytes;

comment on function session_reaper.is_queue_full() is
    'Whether session_reaper.pending_link has grown past site.queue_mb: then writes of sessions are no longer noted.';

-- If the row itself names the user, the link is made at once. A failure must not fail the app's save (P8): the row is then
-- left to the daemon, like data that SQL cannot read. The same goes for the age of a session that was the user's before
-- this save but has no link: when the user logged in was not noted (P1).
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
    -- A link made here would conflict with one that arrives, and no foreign key would check it.
    if session_reaper.is_replica() then
        insert into session_reaper.pending_link (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE');
        return null;
    end if;
    select u.user_text, u.is_key into named, is_key
        from (select new.*) s cross join lateral (:user_named) u (user_text, is_key);
    if is_key then
        found_id := session_reaper.find_user(named);
    end if;
    if found_id is not null then
        insert into session_reaper.user_session as l (session_key, user_id, from_data)
        values (new.:"session_key", found_id, true)
        on conflict on constraint user_session_pkey do update
            set user_id = excluded.user_id, xid = excluded.xid, begun_at = excluded.begun_at,
                snapshot = excluded.snapshot, credential_version = null, from_data = true, linked_at = excluded.linked_at
            where l.user_id is distinct from excluded.user_id;
        get diagnostics links = row_count;
        if links > 0 and tg_op = 'UPDATE' then
            insert into session_reaper.pending_link (session_key, was_there, xid, begun_at, snapshot)
            select new.:"session_key", true, '0', a.begun_at, a.snapshot
            from (select old.*) s
            cross join lateral (:user_named) u (user_text, is_key)
            cross join session_reaper.least_age() a
            where u.user_text = named;
        end if;
        return null;
    end if;
    delete from session_reaper.user_session l where l.session_key = new.:"session_key" and l.from_data;
    if coalesce(named, '') <> '' then
        insert into session_reaper.pending_link (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE');
    end if;
    return null;
exception when others or assert_failure then
    begin
        insert into session_reaper.pending_link (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE');
    exception when others or assert_failure then
        perform session_reaper.miss('write', sqlstate);
    end;
    return null;
end
$$;

comment on function session_reaper.link_written() is
    'Links a session to the user whom its row names, in the transaction that writes it.';

-- What has been committed since the queue was last read: rows of transactions that "drained_to" does not see. Those that
-- were running then are looked up one by one. So this reads nothing twice, even if a transaction stays open for an hour and
-- keeps vacuum from removing rows. "most" is applied here, because at the call it would come too late: a caller that wants
-- a thousand rows of a million reads a thousand. A "drained_to" that came with a dump from another server means nothing
-- here.
create or replace function session_reaper.pending_since(drained_to pg_snapshot, most integer default null)
returns table (place tid, session_key :session_key_base_type, was_there boolean, xid xid8, begun_at timestamptz, snapshot pg_snapshot)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
    return query
    with effective as materialized (
        select case when session_reaper.is_from_elsewhere(drained_to) then '1:1:' else drained_to end as drained_to
    )
    (select u.ctid, u.session_key, u.was_there, coalesce(u.xid, u.queued_in), u.begun_at, u.snapshot
    from effective e
    cross join lateral pg_catalog.pg_snapshot_xip(e.drained_to) running (xid)
    -- Each by the index: rows queued later do not matter here.
    cross join lateral (select w.ctid, w.* from session_reaper.pending_link w where w.queued_in = running.xid offset 0) u)
    union all
    (select u.ctid, u.session_key, u.was_there, coalesce(u.xid, u.queued_in), u.begun_at, u.snapshot
    from session_reaper.pending_link u
    where u.queued_in >= (select pg_catalog.pg_snapshot_xmax(e.drained_to) from effective e)
    order by u.queued_in)
    limit most;
end
$$;

comment on function session_reaper.pending_since(pg_snapshot, integer) is
    'Rows of session_reaper.pending_link that were committed after this snapshot, up to "most" of them. For the functions of this schema only.';

-- Takes no lock, which would be written to the WAL each time. If a linker is reading these rows, either it has not
-- committed, and they still count, or it has, and their links exist.
create or replace function session_reaper.is_any_link_pending()
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
    return exists (
        select from session_reaper.drain q cross join lateral session_reaper.pending_since(q.drained_to, 1) u);
end
$$;

comment on function session_reaper.is_any_link_pending() is
    'Whether the queue holds writes that have not been read.';

-- Looked up once, in a hash table: as a join, PostgreSQL would go through all of these keys for each waiting row.
create or replace function session_reaper.pending_among(keys :session_key_base_type[])
returns :session_key_base_type[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    return array(
        select u.session_key
        from session_reaper.drain q
        cross join lateral session_reaper.pending_since(q.drained_to) u
        where (u.session_key in (select pg_catalog.unnest(keys))) is true);
end
$$;

comment on function session_reaper.pending_among(:session_key_base_type[]) is
    'Those of these sessions whose data waits to be read: only the linker can tell whose they are now. For the functions of this schema only.';

create or replace function session_reaper.add_up_unreadable(of_reason text)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    with old as (
        delete from session_reaper.unreadable u
        where u.id = any (array(
            select o.id
            from session_reaper.unreadable o
            where o.reason = of_reason and o.first_seen_at <= pg_catalog.clock_timestamp() - interval '2 days'
            for update skip locked))
        returning u.*
    )
    insert into session_reaper.unreadable (reason, writes, first_seen_at, last_seen_at)
    select of_reason, pg_catalog.sum(o.writes)::bigint, pg_catalog.min(o.first_seen_at), pg_catalog.max(o.last_seen_at)
    from old o
    having pg_catalog.count(*) > 0
$$;

comment on function session_reaper.add_up_unreadable(text) is
    'Combines the counts for this reason from before yesterday into one row. For the functions of this schema only.';

-- Counted in the database, so that it is visible no matter which daemon read it. Counters do not wait for each other: a
-- locked row is passed over, and if all are locked, a row is added. A row is also added every day, because recent counts
-- tell how well reading works; older days are counted together.
create or replace function session_reaper.count_unreadable(reasons text[], writes bigint[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    for i in 1 .. coalesce(pg_catalog.cardinality(reasons), 0) loop
        update session_reaper.unreadable u
        set writes = u.writes + count_unreadable.writes[i], last_seen_at = pg_catalog.clock_timestamp()
        where u.id = (
            select f.id
            from session_reaper.unreadable f
            where f.reason = reasons[i] and f.first_seen_at > pg_catalog.clock_timestamp() - interval '1 day'
            order by f.id
            limit 1
            for no key update skip locked);
        if not found then
            insert into session_reaper.unreadable (reason, writes) values (reasons[i], count_unreadable.writes[i]);
            perform session_reaper.add_up_unreadable(reasons[i]);
        end if;
    end loop;
end
$$;

comment on function session_reaper.count_unreadable(text[], bigint[]) is
    'Counts data in which no user could be found, without waiting for other counters.';

-- `pg_restore --disable-triggers` switches all triggers of a table off and on again. Triggers that were enabled always are
-- ordinary ones afterwards, which shows that sessions may have been written without being noted.
create or replace function session_reaper.notes_writes()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select not :reads or 2 = (
        select pg_catalog.count(*)
        from pg_catalog.pg_trigger t
        where t.tgrelid = cast(:session_relation as regclass)
          and t.tgname in ('A_session_reaper_session_opened', 'A_session_reaper_session_saved')
          and t.tgenabled = 'A')
$$;

comment on function session_reaper.notes_writes() is
    'Whether the triggers that note writes of sessions have been on ever since they were attached.';

-- Asked before a revocation settles (P1). The size of the queue comes first: a daemon that empties it asks for the table to
-- be read again in the same transaction, and the later checks see that.
create or replace function session_reaper.may_be_unlinked(
    change_xid xid8, change_begun_at timestamptz, change_at timestamptz, newer_from xid8, policy text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if not session_reaper.notes_writes() then
        return true;
    end if;
    -- Missed writes, like a full queue, are checked before the backfill that they lead to.
    if session_reaper.is_queue_full() or exists (select from session_reaper.missed m where m.what = 'write') then
        return true;
    end if;
    return not (select t.complete from session_reaper.backfill t)
        or exists (
            select
            from session_reaper.drain q
            cross join lateral session_reaper.pending_since(q.drained_to) u
            where session_reaper.is_older(u.xid, u.begun_at, u.snapshot, change_xid, change_begun_at, change_at, newer_from, policy));
end
$$;

comment on function session_reaper.may_be_unlinked(xid8, timestamptz, timestamptz, xid8, text) is
    'Whether a session that has not been read yet could be older than this change.';

-- Where the app links its sessions itself, nothing waits to be read.
create or replace function session_reaper.stop_linking()
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    delete from session_reaper.pending_link;
    update session_reaper.backfill t set complete = true where not t.complete;
    delete from session_reaper.page;
    delete from session_reaper.missed m where m.what = 'write';
$$;

comment on function session_reaper.stop_linking() is 'Forgets what has not been read.';
