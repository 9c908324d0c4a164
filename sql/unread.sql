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
        -- Whoever has done so in the meantime has made room.
        perform from session_reaper.unread where false;
        if not session_reaper.is_queue_full() then
            insert into session_reaper.unread (session_key, was_there) values (new.:"session_key", tg_op = 'UPDATE');
        end if;
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

create or replace function session_reaper.is_from_elsewhere(seen pg_snapshot)
returns boolean
language sql
stable
return pg_catalog.pg_snapshot_xmax(seen) > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot());

comment on function session_reaper.is_from_elsewhere(pg_snapshot) is
    'Whether this is from this server''s future, and so from another one: transaction ids do not outlive a dump.';

-- What has been committed since the queue was last read: rows of transactions that "read_to" does not see. Those that
-- were running then are looked up one by one, so that neither a transaction that stays open for an hour nor the rows
-- that vacuum cannot take away because of it make this read anything twice.
-- "most" stands here, and not at the call, where it would come too late: whoever wants a thousand rows of a million
-- reads a thousand.
-- A "read_to" that came with a dump from another server says nothing here.
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
        select case when session_reaper.is_from_elsewhere(read_to) then '1:1:' else read_to end as read_to
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
