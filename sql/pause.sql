-- What replaces the triggers while the site migrates (session-reaper pause). PostgreSQL refuses to change the type of a
-- column that a trigger's definition names. So these triggers name none, and look their columns up for every row: by
-- number, which survives a renaming, or else by name, which survives dropping and adding the column. That is slow, but
-- acceptable for so short a time. Changes are noted as always (P3), and wait.

-- A key that does not fit our own type yet, such as the first one beyond integer, is kept as text until resume has changed
-- that type. A domain has its own checks.
create or replace function session_reaper.request_in_pause(for_user text, why text, under_policy text, keep_session text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.request('user', cast(for_user as :user_key_type), why, under_policy, keep_session);
exception when data_exception or check_violation then
    insert into session_reaper.change default values on conflict on constraint change_is_one_a_transaction do nothing;
    insert into session_reaper.paused_request (change_id, user_key, reason, policy, keep_digest)
    select c.id, for_user, why, under_policy,
        session_reaper.keep_digest(nullif(keep_session, ''))
    from session_reaper.change c
    where c.xid = pg_catalog.pg_current_xact_id() and c.begun_at = pg_catalog.now();
end
$$;

comment on function session_reaper.request_in_pause(text, text, text, text) is
    'Like request(), for a user whose key may not fit our type before session-reaper resume.';

create or replace function session_reaper.paused_change()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    owner_column name := session_reaper.column_now(tg_relid, tg_argv[2]::smallint, tg_argv[3]);
    watched_column name := session_reaper.column_now(tg_relid, tg_argv[4]::smallint, tg_argv[5]);
    changed record := case when tg_op = 'DELETE' then old else new end;
    counts boolean := true;
    user_id text;
begin
    if owner_column is null
        or watched_column is null
        or coalesce(pg_catalog.current_setting('session_reaper.rehash', true), '') = 'on'
    then
        return null;
    end if;
    begin
        if tg_op = 'UPDATE' then
            execute pg_catalog.format('select ($1).%1$I is distinct from ($2).%1$I', watched_column)
                into counts using old, new;
        end if;
        if counts and tg_nargs > 6 then
            execute pg_catalog.format('select ($1).%I = %L', watched_column, tg_argv[6]) into counts using changed;
        end if;
    exception when others or assert_failure then
        -- With its new type the column cannot be compared, or cannot have that value: every change counts (fail closed).
        counts := true;
    end;
    if counts then
        execute pg_catalog.format('select ($1).%I::text', owner_column) into user_id using changed;
        if user_id is not null and not (session_reaper.is_replica() and session_reaper.arrives_by_itself()) then
            perform session_reaper.request_in_pause(user_id, tg_argv[0], tg_argv[1],
                pg_catalog.current_setting('session_reaper.keep_session', true));
        end if;
    end if;
    return null;
exception when others or assert_failure then
    if not session_reaper.is_replica() then
        raise;
    end if;
    perform session_reaper.miss('change', sqlstate);
    return null;
end
$$;

comment on function session_reaper.paused_change() is
    'What credential_changed() and factor_changed() do, without naming a column. Arguments: reason, policy, number and name of the column that names the user, number and name of the one that is watched, and the only value that counts, if there is one.';

-- A key that does not fit our type is in no link.
create or replace function session_reaper.paused_user_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    user_id text;
begin
    execute pg_catalog.format('select ($1).%I::text', session_reaper.column_now(tg_relid, tg_argv[0]::smallint, tg_argv[1]))
        into user_id using old;
    if session_reaper.is_replica() then
        perform session_reaper.end_sessions_of_arrived(cast(user_id as :user_key_type));
    else
        perform session_reaper.end_sessions_of_deleted(cast(user_id as :user_key_type));
    end if;
    return null;
exception when data_exception or check_violation then
    return null;
end
$$;

comment on function session_reaper.paused_user_deleted() is
    'What user_deleted() does, without naming a column. Arguments: number and name of the users'' key.';

-- When a user gets, or loses, a key that does not fit our type, open requests follow as text (P3).
create or replace function session_reaper.follow_user_as_text(from_key text, to_key text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update session_reaper.paused_request p set user_key = to_key where p.user_key = from_key;
    insert into session_reaper.paused_request (change_id, user_key, reason, policy, keep_digest)
    select r.change_id, to_key, r.reason, r.policy, r.keep_digest
    from session_reaper.revocation r
    where r.user_id = session_reaper.user_key_of(from_key) and r.scope = 'user' and r.state <> 'settled'
    order by r.id;
exception when others or assert_failure then
    if not session_reaper.is_replica() then
        raise;
    end if;
    perform session_reaper.miss('change', sqlstate);
end
$$;

comment on function session_reaper.follow_user_as_text(text, text) is
    'Lets open revocations follow a user whose old or new key does not fit our type before session-reaper resume. For the functions of this schema only.';

-- The foreign keys are gone during the pause, so the links follow here. They cannot follow to a key that does not fit our
-- type: resume drops them, and their sessions count as not read yet.
create or replace function session_reaper.paused_user_renamed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    key name := session_reaper.column_now(tg_relid, tg_argv[0]::smallint, tg_argv[1]);
    from_key text;
    to_key text;
begin
    if key is not null then
        execute pg_catalog.format('select ($1).%1$I::text, ($2).%1$I::text', key) into from_key, to_key using old, new;
    end if;
    if from_key is not distinct from to_key then
        return null;
    end if;
    begin
        if session_reaper.is_replica() then
            perform session_reaper.follow_arrived_user(cast(from_key as :user_key_type), cast(to_key as :user_key_type));
            return null;
        end if;
        perform session_reaper.hold_links(cast(from_key as :user_key_type));
        perform session_reaper.follow_user(cast(from_key as :user_key_type), cast(to_key as :user_key_type));
        update session_reaper.user_session l
        set user_id = cast(to_key as :user_key_type)
        where l.user_id = cast(from_key as :user_key_type);
    exception when data_exception or check_violation then
        perform session_reaper.follow_user_as_text(from_key, to_key);
    end;
    return null;
end
$$;

comment on function session_reaper.paused_user_renamed() is
    'What user_renamed() and the foreign key do, without naming a column. Arguments: number and name of the users'' key.';

-- The key of a session that is to end by name cannot be kept as text, so the new key has to wait (P3).
create or replace function session_reaper.lose_no_key(from_key text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select
        from session_reaper.revoked_key k
        join session_reaper.revocation r on r.id = k.revocation_id
        where k.session_key::text = from_key and r.state <> 'settled')
    then
        raise exception 'a session that session-reaper is to end cannot get a key yet that does not fit session-reaper''s own type'
            using errcode = 'object_not_in_prerequisite_state', hint = 'Run session-reaper resume.';
    end if;
exception when others or assert_failure then
    if not session_reaper.is_replica() then
        raise;
    end if;
    perform session_reaper.miss('change', sqlstate);
end
$$;

comment on function session_reaper.lose_no_key(text) is
    'Fails if an open revocation names this session, except for changes that arrive by replication. For the functions of this schema only.';

-- Requests and the link are handled separately: if the new key has been linked meanwhile, or does not fit our type, the old
-- link stays, and resume drops it.
create or replace function session_reaper.paused_session_renamed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    key name := session_reaper.column_now(tg_relid, tg_argv[0]::smallint, tg_argv[1]);
    from_key text;
    to_key text;
begin
    if key is not null then
        execute pg_catalog.format('select ($1).%1$I::text, ($2).%1$I::text', key) into from_key, to_key using old, new;
    end if;
    if from_key is not distinct from to_key then
        return null;
    end if;
    begin
        if session_reaper.is_replica() then
            perform session_reaper.follow_arrived_session(
                cast(from_key as :session_key_base_type), cast(to_key as :session_key_base_type));
            return null;
        end if;
        perform session_reaper.follow_session(cast(from_key as :session_key_base_type), cast(to_key as :session_key_base_type));
    exception when data_exception or check_violation then
        perform session_reaper.lose_no_key(from_key);
    end;
    begin
        update session_reaper.user_session l
        set session_key = cast(to_key as :session_key_base_type)
        where l.session_key = cast(from_key as :session_key_base_type);
    exception when data_exception or check_violation or unique_violation then
        null;
    end;
    return null;
end
$$;

comment on function session_reaper.paused_session_renamed() is
    'What session_renamed() and the foreign key do, without naming a column. Arguments: number and name of the sessions'' key.';
