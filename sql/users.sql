-- What the triggers on the site's tables do. src/schema/objects/triggers/ attaches them, one table per transaction and only
-- where they differ.

-- After the update and for each row, with a WHEN that compares: Django's save() writes every column, and a statement
-- trigger with transition tables would make every other update of the table 12 % slower.
create or replace function session_reaper.credential_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    changed :user_key_type;
begin
    -- A hash that is rewritten at login, because its algorithm got stronger, is no change of password. Django treats it as
    -- one, and so does this function, unless the app sets otherwise for the transaction.
    if coalesce(pg_catalog.current_setting('session_reaper.rehash', true), '') = 'on' then
        return null;
    end if;
    begin
        changed := new.:"user_key";
    exception when undefined_column then
        changed := session_reaper.user_key_in(pg_catalog.to_jsonb(new));
    end;
    perform session_reaper.request_change(changed, tg_argv[0], tg_argv[1]);
    return null;
end
$$;

comment on function session_reaper.credential_changed() is
    'Asks for the sessions of a user whose watched column has changed to end. Arguments: reason and policy.';

-- The same for a table beside the users' table, whose column for the user has to be looked up for each row. A separate
-- function, so that a bulk change of passwords does not pay for that. The contents of that column are the app's affair: a
-- value that is no key names no user, and without the column there is no user to ask for (P8).
create or replace function session_reaper.factor_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    owner_column name := session_reaper.column_now(tg_relid, tg_argv[2]::smallint, tg_argv[3]);
    changed record := case when tg_op = 'DELETE' then old else new end;
    -- Includes the length: a value that is too long is no key either.
    user_id session_reaper.revocation.user_id%type;
begin
    if coalesce(pg_catalog.current_setting('session_reaper.rehash', true), '') = 'on' then
        return null;
    end if;
    if owner_column is null then
        -- undefined_column
        perform session_reaper.miss('change', '42703');
        return null;
    end if;
    begin
        execute pg_catalog.format('select ($1).%I', owner_column) into user_id using changed;
    exception
        -- A domain has its own checks.
        when data_exception or check_violation then
            return null;
    end;
    if user_id is not null then
        perform session_reaper.request_change(user_id, tg_argv[0], tg_argv[1]);
    end if;
    return null;
end
$$;

comment on function session_reaper.factor_changed() is
    'Asks for the sessions of a user whose row in another table has come, changed or gone to end. Arguments: reason, policy, number and name of the column that names the user.';

-- The foreign keys are about to delete or change the links of a user, one after the other. A transaction that deletes
-- several of the user's sessions reaches the links in another order, so that the two would wait for each other, although
-- the site's own tables do not conflict. So either all the links are locked first, or none: if another transaction holds
-- one, the others are released, and only that one is waited for (P8).
create or replace function session_reaper.hold_links(of_user :user_key_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    busy :session_key_base_type;
begin
    loop
        begin
            select b.session_key into busy
            from (
                select l.session_key from session_reaper.user_session l where l.user_id = of_user
                except
                select h.session_key from (
                    select l.session_key from session_reaper.user_session l
                    where l.user_id = of_user
                    order by l.session_key
                    for update skip locked) h
            ) b
            limit 1;
            if not found then
                return;
            end if;
            -- Only the failure of a subtransaction releases its locks.
            raise exception using errcode = 'P0SR1';
        exception when sqlstate 'P0SR1' then null;
        end;
        begin
            perform from session_reaper.user_session l where l.session_key = busy for update;
            raise exception using errcode = 'P0SR1';
        exception when sqlstate 'P0SR1' then null;
        end;
    end loop;
end
$$;

comment on function session_reaper.hold_links(:user_key_type) is
    'Locks all links of a user; holds no link while it waits for one that another transaction holds. For the functions of this schema only.';

-- The foreign key is about to delete the links, and then it would not be known which sessions were the user's. So they are
-- noted by key.
create or replace function session_reaper.end_sessions_of_deleted(gone :user_key_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    revocation bigint;
begin
    -- The cascade waits for these links anyway. If a session is just getting another key, this notes it by the new key.
    perform session_reaper.hold_links(gone);
    -- Where sessions are read for their users, a session may not have been read yet.
    if :reads or exists (select from session_reaper.user_session l where l.user_id = gone) then
        revocation := session_reaper.request('session', gone, 'deleted', 'all', null);
        insert into session_reaper.revoked_key (revocation_id, session_key, from_data)
        select revocation, l.session_key, l.from_data from session_reaper.user_session l where l.user_id = gone;
    end if;
end
$$;

comment on function session_reaper.end_sessions_of_deleted(:user_key_type) is
    'Asks for the sessions of a user who is gone to end, by their keys. For the functions of this schema only.';

-- The foreign key does not fire here, so the links are deleted here.
create or replace function session_reaper.end_sessions_of_arrived(gone :user_key_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not session_reaper.arrives_by_itself() then
        perform session_reaper.end_sessions_of_deleted(gone);
    end if;
    delete from session_reaper.user_session l where l.user_id = gone;
exception when others or assert_failure then
    perform session_reaper.miss('change', sqlstate);
end
$$;

comment on function session_reaper.end_sessions_of_arrived(:user_key_type) is
    'end_sessions_of_deleted() for a deletion that arrives by replication. Never fails.';

create or replace function session_reaper.follow_arrived_user(from_key :user_key_type, to_key :user_key_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.follow_user(from_key, to_key);
    update session_reaper.user_session l set user_id = to_key where l.user_id = from_key;
exception when others or assert_failure then
    perform session_reaper.miss('change', sqlstate);
end
$$;

comment on function session_reaper.follow_arrived_user(:user_key_type, :user_key_type) is
    'follow_user() for a key whose change arrives by replication, with the links. Never fails.';

create or replace function session_reaper.follow_arrived_session(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.follow_session(from_key, to_key);
    update session_reaper.user_session l set session_key = to_key where l.session_key = from_key;
exception when others or assert_failure then
    perform session_reaper.miss('write', sqlstate);
end
$$;

comment on function session_reaper.follow_arrived_session(:session_key_base_type, :session_key_base_type) is
    'follow_session() for a key whose change arrives by replication, with the link. Never fails.';

-- Runs after the delete, because a BEFORE trigger would record deletes that another trigger then vetoes, and before
-- PostgreSQL's own RI_ triggers, because of its name.
create or replace function session_reaper.user_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    gone :user_key_type;
begin
    begin
        gone := old.:"user_key";
    exception when undefined_column then
        gone := session_reaper.user_key_in(pg_catalog.to_jsonb(old));
    end;
    if session_reaper.is_replica() then
        perform session_reaper.end_sessions_of_arrived(gone);
    else
        perform session_reaper.end_sessions_of_deleted(gone);
    end if;
    return null;
end
$$;

comment on function session_reaper.user_deleted() is 'Asks for the sessions of a deleted user to end.';

-- When a user or a session gets another key, open work follows: a revocation that names the old key would find nothing and
-- settle.
create or replace function session_reaper.follow_user(from_key :user_key_type, to_key :user_key_type)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    -- For date_link(), which could take this for a login of another user.
    select pg_catalog.set_config('session_reaper.renamed', 'on', true);
    update session_reaper.pending_eviction p set user_id = to_key where p.user_id = from_key;
    update session_reaper.revoked_key k set user_id = to_key where k.user_id = from_key;
    -- A deleted user keeps the old key.
    update session_reaper.revocation r
    set user_id = to_key
    where r.id = any (array(
        -- There is an index for each branch.
        select f.id from session_reaper.revocation f where f.user_id = from_key and f.changed_at is null
        union all
        select w.id from session_reaper.revocation w where w.user_id = from_key and w.changed_at is not null))
      and r.state <> 'settled'
      and not session_reaper.is_deletion(r.scope, r.reason)
$$;

comment on function session_reaper.follow_user(:user_key_type, :user_key_type) is
    'Lets open revocations follow a user whose key changes. For the functions of this schema only.';

create or replace function session_reaper.user_renamed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    from_key :user_key_type;
    to_key :user_key_type;
begin
    begin
        from_key := old.:"user_key";
        to_key := new.:"user_key";
    exception when undefined_column then
        from_key := session_reaper.user_key_in(pg_catalog.to_jsonb(old));
        to_key := session_reaper.user_key_in(pg_catalog.to_jsonb(new));
    end;
    if session_reaper.is_replica() then
        perform session_reaper.follow_arrived_user(from_key, to_key);
    else
        perform session_reaper.hold_links(from_key);
        perform session_reaper.follow_user(from_key, to_key);
    end if;
    return null;
end
$$;

comment on function session_reaper.user_renamed() is 'Lets open revocations follow a user whose key changes.';

-- Revocations that name a session have to name it by its new key, because the key is the request itself. They may already
-- name the new key.
create or replace function session_reaper.follow_revoked(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- A transaction that deletes the user holds the link; once this lock is granted, it has named this session by its old
    -- key.
    perform from session_reaper.user_session l where l.session_key = from_key for update;
    with named as (
        delete from session_reaper.revoked_key k where k.session_key = from_key returning k.*
    )
    insert into session_reaper.revoked_key (revocation_id, session_key, from_data, ended, grace_over, user_id)
    select n.revocation_id, to_key, n.from_data, n.ended, n.grace_over, n.user_id from named n
    on conflict on constraint revoked_key_pkey do nothing;
end
$$;

comment on function session_reaper.follow_revoked(:session_key_base_type, :session_key_base_type) is
    'Lets revocations that name a session follow it when its key changes. For the functions of this schema only.';

-- A digest of its key identifies the session that an app asked to keep. Settled revocations are updated, too, because a
-- link that is read later may open them again (P2).
create or replace function session_reaper.follow_kept(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update session_reaper.revocation r
    set keep_digest = (session_reaper.keep_digests(to_key))[
        pg_catalog.array_position(session_reaper.keep_digests(from_key), r.keep_digest)]
    where r.keep_digest = any (session_reaper.keep_digests(from_key))
$$;

comment on function session_reaper.follow_kept(:session_key_base_type, :session_key_base_type) is
    'Lets what an app asked to keep follow a session when its key changes. For the functions of this schema only.';

-- The new key may have belonged to a session that is gone. That it was opened anonymous does not apply to this session,
-- which would count as younger than it is (P1).
create or replace function session_reaper.follow_opened(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    delete from session_reaper.opened_anonymous o
    where o.session_key = to_key
      and not exists (select from session_reaper.opened_anonymous f where f.session_key = from_key);
    with opened as (
        delete from session_reaper.opened_anonymous o where o.session_key = from_key returning o.session_key
    )
    insert into session_reaper.opened_anonymous (session_key)
    select to_key from opened
    on conflict on constraint opened_anonymous_pkey do nothing
$$;

comment on function session_reaper.follow_opened(:session_key_base_type, :session_key_base_type) is
    'Keeps the note that a session was opened anonymous when its key changes. For the functions of this schema only.';

-- Writes that were noted under the old key are noted under the new one. If too many rows wait to look for them, or if the
-- backfill is running and may have passed the new key already, the session counts as older than every change (P1).
create or replace function session_reaper.follow_pending_link(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most constant integer := 10000;
begin
    -- The foreign key updates an existing link.
    if exists (select from session_reaper.user_session l where l.session_key in (from_key, to_key)) then
        return;
    end if;
    perform session_reaper.follow_opened(from_key, to_key);
    with waiting as materialized (
        select u.*
        from session_reaper.drain q
        cross join lateral session_reaper.pending_since(q.drained_to, most) u
    )
    insert into session_reaper.pending_link (session_key, was_there, xid, begun_at, snapshot)
    select to_key, w.was_there, w.xid, w.begun_at, w.snapshot from waiting w where w.session_key = from_key
    union all
    select to_key, true, '0', a.begun_at, a.snapshot
    from session_reaper.least_age() a
    where (select pg_catalog.count(*) from waiting) = most
       or not (select t.complete from session_reaper.backfill t)
          and not exists (select from waiting w where w.session_key = from_key);
end
$$;

comment on function session_reaper.follow_pending_link(:session_key_base_type, :session_key_base_type) is
    'Lets what was noted to be read follow a session when its key changes. For the functions of this schema only.';

-- Only a failure to update revocations may fail the app's statement. If the rest fails, every session is read again. A
-- session that went where no foreign key fires, or during a pause, has left its link behind; a session that gets its key
-- needs that place (P8).
create or replace function session_reaper.follow_session(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.follow_revoked(from_key, to_key);
    delete from session_reaper.user_session l where l.session_key = to_key;
    begin
        perform session_reaper.follow_kept(from_key, to_key);
        if :reads then
            perform session_reaper.follow_pending_link(from_key, to_key);
        end if;
    exception when others or assert_failure then
        if :reads then
            perform session_reaper.miss('write', sqlstate);
        end if;
    end;
    if :evicts then
        begin
            perform session_reaper.note_deleted(from_key);
        exception when others or assert_failure then
            perform session_reaper.miss('eviction', sqlstate);
        end;
    end if;
end
$$;

comment on function session_reaper.follow_session(:session_key_base_type, :session_key_base_type) is
    'Lets what is known of a session follow it when its key changes, and the cache forget the old key. For the functions of this schema only.';

create or replace function session_reaper.session_renamed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    from_key :session_key_base_type;
    to_key :session_key_base_type;
begin
    begin
        from_key := old.:"session_key";
        to_key := new.:"session_key";
    exception when undefined_column then
        from_key := session_reaper.session_key_in(pg_catalog.to_jsonb(old));
        to_key := session_reaper.session_key_in(pg_catalog.to_jsonb(new));
    end;
    if session_reaper.is_replica() then
        perform session_reaper.follow_arrived_session(from_key, to_key);
    else
        perform session_reaper.follow_session(from_key, to_key);
    end if;
    return null;
end
$$;

comment on function session_reaper.session_renamed() is
    'Lets what is known of a session follow it when its key changes, and the cache forget the old key.';

-- The settings that decide how names are printed are pinned; otherwise two roles could read two texts.
create or replace function session_reaper.trigger_text(trigger oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $$
    select pg_catalog.pg_get_triggerdef(trigger)
$$;

comment on function session_reaper.trigger_text(oid) is
    'A trigger''s definition from the catalog, the same text for every role: shows whether it has been replaced.';
