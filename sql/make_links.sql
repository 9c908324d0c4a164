-- Making the links of sessions whose users were found in their data.

-- Users' keys in the site's type, many at once. As UTF-8 and not as text: letters that the database's encoding lacks would
-- fail the statement that brings them, and with it the linking of everything else. One text that is no key of that type
-- fails the quick way for all; then each is looked at alone. A domain has its own checks.
create or replace function session_reaper.as_user_keys(texts bytea[])
returns :user_key_type[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    keys :user_key_type[] := '{}';
begin
    return array(
        select cast(pg_catalog.convert_from(t.text, session_reaper.exchanged_encoding()) as :user_key_type)
        from pg_catalog.unnest(texts) with ordinality as t (text, place) order by t.place);
exception when others or assert_failure then
    if not session_reaper.is_of_the_row(sqlstate) then
        raise;
    end if;
    for i in 1 .. pg_catalog.cardinality(texts) loop
        begin
            keys := keys || cast(pg_catalog.convert_from(texts[i], session_reaper.exchanged_encoding()) as :user_key_type);
        exception when others or assert_failure then
            if not session_reaper.is_of_the_row(sqlstate) then
                raise;
            end if;
            keys := keys || cast(null as :user_key_type);
        end;
    end loop;
    return keys;
end
$$;

comment on function session_reaper.as_user_keys(bytea[]) is
    'These texts, in UTF-8, as keys of users; null for one that is no key of that type.';

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

-- The foreign keys plan their look-ups by the settings in force here: a custom plan for each row would be most of the work.
-- And deciding() stops at the first change that ends a link; a bitmap, a hash or a sort would read all others for it.
create or replace function session_reaper.make_links(
    keys :session_key_base_type[], user_ids :user_key_type[],
    xids xid8[], begun timestamptz[], snapshots pg_snapshot[], out linked bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set row_security = off
as $$
begin
    with made as (
        insert into session_reaper.user_session as l (session_key, user_id, xid, begun_at, snapshot, from_data)
        select f.session_key, f.user_id, f.xid, f.begun_at, f.snapshot, true
        from rows from (
            pg_catalog.unnest(keys), pg_catalog.unnest(user_ids),
            pg_catalog.unnest(xids), pg_catalog.unnest(begun), pg_catalog.unnest(snapshots)
        ) as f (session_key, user_id, xid, begun_at, snapshot)
        order by f.session_key
        on conflict on constraint user_session_pkey do update
            set user_id = excluded.user_id, xid = excluded.xid, begun_at = excluded.begun_at,
                snapshot = excluded.snapshot, credential_version = null, from_data = true, linked_at = excluded.linked_at
            -- For the same user, the new values already include those of the old link; only a page of the table may have
            -- come between, and its link is older than everything.
            where l.user_id is distinct from excluded.user_id
               or l.from_data and excluded.begun_at <= l.begun_at
                  and (excluded.begun_at < l.begun_at or excluded.xid <> l.xid or excluded.snapshot::text <> l.snapshot::text)
        returning l.user_id, l.session_key, l.xid, l.begun_at, l.snapshot
    ), named as (
        -- For a deleted user whose key another user has now: the session may be the deleted user's.
        insert into session_reaper.revoked_key as k (revocation_id, session_key, from_data)
        select d.id, m.session_key, true
        from made m
        cross join lateral session_reaper.deletion_of(m.user_id, m.xid, m.begun_at, m.snapshot) d (id)
        on conflict on constraint revoked_key_pkey do update set grace_over = false where k.grace_over
    ), reopened as (
        -- The change that ends the session may have settled long ago. One that has not settled finds the link by itself.
        update session_reaper.revocation r
        set :reopened
        where r.state = 'settled'
          and r.id = any (array(
            select d.id
            from made m
            cross join lateral session_reaper.deciding(m.user_id, m.session_key, m.xid, m.begun_at, m.snapshot) d (id)
            union
            select d.id
            from made m
            cross join lateral session_reaper.deletion_of(m.user_id, m.xid, m.begun_at, m.snapshot) d (id)))
    )
    select pg_catalog.count(*) into linked from made;
end
$$;

comment on function session_reaper.make_links(:session_key_base_type[], :user_key_type[], xid8[], timestamptz[], pg_snapshot[]) is
    'Links sessions to existing users, and reopens the revocations that these are older than. For link_found() only.';

-- One by one: the app itself may be linking one of these in a long transaction.
create or replace function session_reaper.link_each(
    keys :session_key_base_type[], user_ids :user_key_type[],
    xids xid8[], begun timestamptz[], snapshots pg_snapshot[], free_users :user_key_type[],
    inout free_keys :session_key_base_type[], out linked bigint, out not_linkable bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    free record;
begin
    linked := 0;
    not_linkable := 0;
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
        exception
            when lock_not_available then
                free_keys := pg_catalog.array_remove(free_keys, free.session_key);
            -- For instance a user whose row is in a table that inherits from the users' table: no foreign key finds it
            -- there.
            when others or assert_failure then
                if not session_reaper.is_of_the_row(sqlstate) then
                    raise;
                end if;
                not_linkable := not_linkable + 1;
        end;
    end loop;
end
$$;

comment on function session_reaper.link_each(:session_key_base_type[], :user_key_type[], xid8[], timestamptz[], pg_snapshot[], :user_key_type[], :session_key_base_type[]) is
    'Links those of these sessions that are free and whose users are; removes from "free_keys" what was locked meanwhile. For link_found() only.';

-- A link that was read may still name a user who has left the session since. As long as it does, the session counts as that
-- user's: it ends by what that user does (P2), and not with the user who is gone (P1).
create or replace function session_reaper.leave_to_nobody(gone :session_key_base_type[])
returns :session_key_base_type[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    freed :session_key_base_type[];
    busy :session_key_base_type[];
begin
    -- A link made since this transaction began may come from a later write than the one it read. Such a session is read
    -- once more.
    freed := array(
        select l.session_key from session_reaper.user_session l
        where l.session_key = any (gone) and l.from_data and l.linked_at < pg_catalog.now()
        order by l.session_key
        for update skip locked);
    delete from session_reaper.user_session l where l.session_key = any (freed);
    busy := array(select l.session_key from session_reaper.user_session l where l.session_key = any (gone) and l.from_data);
    perform session_reaper.count_unreadable(array['nobody'], array[n.sessions])
        from (select (pg_catalog.cardinality(gone) - pg_catalog.cardinality(busy))::bigint as sessions) n
        where n.sessions > 0;
    return busy;
end
$$;

comment on function session_reaper.leave_to_nobody(:session_key_base_type[]) is
    'Takes the links off sessions whose user is gone, and counts them; returns the keys of those that are to be read once more. For link_found() only.';

create or replace function session_reaper.end_those_of_deleted(
    keys :session_key_base_type[], user_ids :user_key_type[],
    xids xid8[], begun timestamptz[], snapshots pg_snapshot[], gone :session_key_base_type[])
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    with named as (
        insert into session_reaper.revoked_key as k (revocation_id, session_key, from_data)
        select d.id, f.session_key, true
        from rows from (
            pg_catalog.unnest(keys), pg_catalog.unnest(user_ids),
            pg_catalog.unnest(xids), pg_catalog.unnest(begun), pg_catalog.unnest(snapshots)
        ) as f (session_key, user_id, xid, begun_at, snapshot)
        cross join lateral session_reaper.deletion_of(f.user_id, f.xid, f.begun_at, f.snapshot) d (id)
        where f.session_key = any (gone)
        -- The session was ended under the same key before, and written back by a transaction that is still older than the
        -- deletion.
        on conflict on constraint revoked_key_pkey do update set grace_over = false where k.grace_over
        returning k.revocation_id
    )
    update session_reaper.revocation r
    set :reopened
    where r.id in (select n.revocation_id from named n) and r.state = 'settled'
$$;

comment on function session_reaper.end_those_of_deleted(:session_key_base_type[], :user_key_type[], xid8[], timestamptz[], pg_snapshot[], :session_key_base_type[]) is
    'Makes deletions that could not know of these sessions end those whose user has been deleted. For link_found() only.';

-- Makes the links that were found. Never waits for a row lock (P6), and never fails on a foreign key, whose message would
-- put the key into the server's log (P7): locked rows are left out, to be tried again, and those that are gone are
-- forgotten. First it tries without checking what is locked, because that check is most of the work. There it waits only
-- for a moment, which is enough for other linkers that extend the same table; an error that is caught here is not logged.
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
-- The settings below hold until the end of this function.
set lock_timeout = '400ms'
as $$
#variable_conflict use_variable
declare
    free_keys :session_key_base_type[];
    free_users :user_key_type[];
    gone :session_key_base_type[];
    not_linkable bigint;
begin
    -- Deleted users leave their sessions behind, so this is checked beforehand.
    if (select pg_catalog.count(*) from :"user_schema".:"user_table" u where u.:"user_key" = any (user_ids))
        = (select pg_catalog.count(distinct f.user_id) from pg_catalog.unnest(user_ids) as f (user_id))
    then
        begin
            perform pg_catalog.set_config('lock_timeout', '20ms', true);
            linked := session_reaper.make_links(keys, user_ids, xids, begun, snapshots);
            busy := '{}';
            return;
        exception when others or assert_failure then
            if sqlstate <> '55P03' and not session_reaper.is_of_the_row(sqlstate) then
                raise;
            end if;
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
    perform pg_catalog.set_config('lock_timeout', '1ms', true);
    select e.free_keys, e.linked, e.not_linkable into free_keys, linked, not_linkable
        from session_reaper.link_each(keys, user_ids, xids, begun, snapshots, free_users, free_keys) e;
    perform session_reaper.count_unreadable(array['not_linkable'], array[not_linkable]) where not_linkable > 0;
    -- Asked before the deletions are looked up: one that commits in between is then seen there, not missed by both.
    gone := array(
        select f.session_key
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(user_ids)) as f (session_key, user_id)
        where f.user_id <> all (free_users)
          and not exists (select from :"user_schema".:"user_table" u where u.:"user_key" = f.user_id));
    busy := array(
        select f.session_key
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(user_ids)) as f (session_key, user_id)
        where not (f.session_key = any (free_keys) and f.user_id = any (free_users)) and f.session_key <> all (gone)
          and exists (select from :"session_schema".:"session_table" s where s.:"session_key" = f.session_key));
    if pg_catalog.cardinality(gone) > 0 then
        busy := busy || session_reaper.leave_to_nobody(gone);
        gone := array(select pg_catalog.unnest(gone) except select pg_catalog.unnest(busy));
        perform session_reaper.end_those_of_deleted(keys, user_ids, xids, begun, snapshots, gone);
    end if;
end
$$;

comment on function session_reaper.link_found(:session_key_base_type[], :user_key_type[], xid8[], timestamptz[], pg_snapshot[]) is
    'Links sessions to the users that were found in them, and reopens the revocations that these are older than; returns how many, and the keys that were locked.';
