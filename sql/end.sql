-- Deleting the locked sessions, and noting that on their revocations. Planned as sql/lock.sql describes.

-- A separate statement: if it had to wait for a replica working on the same revocation, PostgreSQL would evaluate its row
-- again, and could not run the deletion a second time.
create or replace function session_reaper.count_ended(ended_for bigint[], counts bigint[], remembered_for bigint[])
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
    update session_reaper.revocation r
    set sessions_ended = r.sessions_ended + n.sessions,
        -- Only a key that is ended for the first time prolongs the grace. Otherwise a user who logs in again and again
        -- under the same key would keep it open. It is not dated here, because this transaction may commit much later; the
        -- settler does that once it can see this row.
        remembered_at = case when r.id = any (remembered_for) then 'infinity' else r.remembered_at end
    from rows from (pg_catalog.unnest(ended_for), pg_catalog.unnest(counts)) as n (revocation_id, sessions)
    where r.id = n.revocation_id;
    return (select coalesce(pg_catalog.sum(n), 0) from pg_catalog.unnest(counts) n);
end
$$;

comment on function session_reaper.count_ended(bigint[], bigint[], bigint[]) is
    'Counts sessions that have been deleted on their revocations; returns how many. For delete_condemned() only.';

-- A revocation that named one of these keys has what it asked for, whatever its reason and whether or not sessions are
-- written back here: from now on the key may belong to another user (P2). Nothing here waits (P6). A revocation that
-- another daemon has claimed is not dated, so its grace ends when it settles.
create or replace function session_reaper.note_named(keys :session_key_base_type[], users :user_key_type[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    named bigint[];
begin
    with free as (
        select n.ctid as place, e.user_id
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(users)) as e (session_key, user_id)
        join session_reaper.revoked_key n on n.session_key = e.session_key
        where not n.ended
        for update of n skip locked
    ), noted as (
        update session_reaper.revoked_key k
        set ended = true, user_id = nullif(f.user_id, r.user_id)
        from free f, session_reaper.revocation r
        where k.ctid = f.place and r.id = k.revocation_id
        returning k.revocation_id
    )
    select pg_catalog.array_agg(n.revocation_id) into named from noted n;
    if named is not null then
        update session_reaper.revocation r
        set remembered_at = 'infinity'
        where r.id = any (array(
            select f.id from session_reaper.revocation f where f.id = any (named) and f.state <> 'settled' for update skip locked));
    end if;
end
$$;

comment on function session_reaper.note_named(:session_key_base_type[], :user_key_type[]) is
    'Notes on every revocation that names these keys that their sessions, which were these users'', have been ended. For delete_condemned() only.';

-- "remember" notes the keys of a store whose in-flight requests may write them back (P1).
create or replace function session_reaper.delete_condemned(
    keys :session_key_base_type[], owners bigint[], users :user_key_type[], remember boolean)
returns bigint
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
    ended_for bigint[];
    counts bigint[];
    remembered_for bigint[];
    ended_keys :session_key_base_type[];
    ended_users :user_key_type[];
begin
    -- For session_deleted(): a session stays if its eviction cannot be noted (P5).
    perform pg_catalog.set_config(
        'session_reaper.ending', case when :evicts then session_reaper.ending_for(owners) else 'on' end, true);
    with deleted as (
        delete from :"session_schema".:"session_table" s
        using rows from (pg_catalog.unnest(keys), pg_catalog.unnest(owners), pg_catalog.unnest(users))
            as c (session_key, revocation_id, user_id)
        where s.:"session_key" = c.session_key
        returning c.revocation_id, c.session_key, c.user_id
    ), remembered as (
        insert into session_reaper.revoked_key as k (revocation_id, session_key, ended, user_id)
        select d.revocation_id, d.session_key, true, nullif(d.user_id, r.user_id)
        from deleted d
        join session_reaper.revocation r on r.id = d.revocation_id
        where remember
        on conflict on constraint revoked_key_pkey do update
            set ended = true, user_id = excluded.user_id
            where not k.ended
        returning k.revocation_id
    ), counted as (
        select d.revocation_id, pg_catalog.count(*) as sessions from deleted d group by d.revocation_id
    )
    select pg_catalog.array_agg(n.revocation_id), pg_catalog.array_agg(n.sessions),
           array(select k.revocation_id from remembered k),
           (select pg_catalog.array_agg(d.session_key) from deleted d), (select pg_catalog.array_agg(d.user_id) from deleted d)
        into ended_for, counts, remembered_for, ended_keys, ended_users
        from counted n;
    perform pg_catalog.set_config('session_reaper.ending', '', true);
    perform session_reaper.note_named(ended_keys, ended_users);
    return session_reaper.count_ended(ended_for, counts, remembered_for);
end
$$;

comment on function session_reaper.delete_condemned(:session_key_base_type[], bigint[], :user_key_type[], boolean) is
    'Deletes these sessions, which are locked with their links, and counts them on their revocations; returns how many. For end_together() only.';

-- Most sessions are condemned by their links and end at once. The rest are looked at again: those that are named by key,
-- have become younger, have changed hands, wait to be linked, or have a link that another transaction holds.
-- What the caller has locked is not locked again, which would be an eighth of the work.
create or replace function session_reaper.end_together(
    keys :session_key_base_type[], owners bigint[], remember boolean, are_locked boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    locked :session_key_base_type[] := case when are_locked then keys else session_reaper.lock_sessions(keys) end;
    rest :session_key_base_type[];
    condemned record;
    ended bigint;
begin
    select pg_catalog.array_agg(c.session_key) as keys, pg_catalog.array_agg(c.revocation_id) as owners,
            pg_catalog.array_agg(c.user_id) as users
        into condemned
        from (
            select l.session_key, pg_catalog.min(l.revocation_id) as revocation_id, (pg_catalog.array_agg(l.user_id))[1] as user_id
            from session_reaper.lock_condemned(locked, keys, owners) l
            group by l.session_key
        ) c;
    ended := session_reaper.delete_condemned(condemned.keys, condemned.owners, condemned.users, remember);
    if pg_catalog.cardinality(locked) > coalesce(pg_catalog.cardinality(condemned.keys), 0) then
        rest := array(select pg_catalog.unnest(locked) except select pg_catalog.unnest(condemned.keys));
        select pg_catalog.array_agg(c.session_key) as keys, pg_catalog.array_agg(c.revocation_id) as owners,
                pg_catalog.array_agg(c.user_id) as users
            into condemned
            from session_reaper.still_condemned(session_reaper.with_free_links(rest), keys, owners) c;
        ended := ended + session_reaper.delete_condemned(condemned.keys, condemned.owners, condemned.users, remember);
    end if;
    return ended;
end
$$;

comment on function session_reaper.end_together(:session_key_base_type[], bigint[], boolean, boolean) is
    'Deletes those of these sessions that no other transaction has locked, and counts them on the revocations in "owners"; returns how many.';

-- One session that cannot be deleted, for instance because a site trigger refuses it, must hold up neither the others
-- nor the change (P8). It stays, keeps its revocation from settling, and is tried again. An error that is caught here is
-- not written to the server's log, where its text could quote a key (P7).
create or replace function session_reaper.end_free(
    keys :session_key_base_type[], owners bigint[], remember boolean, are_locked boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ended bigint := 0;
begin
    return session_reaper.end_together(keys, owners, remember, are_locked);
exception when others or assert_failure then
    for i in 1 .. pg_catalog.cardinality(keys) loop
        begin
            ended := ended + session_reaper.end_together(array[keys[i]], array[owners[i]], remember, are_locked);
        exception when others or assert_failure then
            update session_reaper.revocation r set last_error = sqlstate where r.id = owners[i];
        end;
    end loop;
    return ended;
end
$$;

comment on function session_reaper.end_free(:session_key_base_type[], bigint[], boolean, boolean) is
    'Like end_together(); if that fails, one by one: what cannot be deleted stays, with its SQLSTATE on the revocation.';
