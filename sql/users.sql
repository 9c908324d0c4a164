-- What the triggers on the site's tables do. That they are there is the business of src/schema/triggers.rs,
-- which attaches them one table a transaction and only where they differ.

-- After the update and for each row, with a WHEN that compares: Django's save() writes every column, and a
-- statement trigger with transition tables would cost every other update of the table 12 %.
create or replace function session_reaper.credential_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- A hash rewritten at login, because its algorithm got stronger, is no change of password. Django treats
    -- it as one, and so does this, unless the app says otherwise for the transaction.
    if coalesce(pg_catalog.current_setting('session_reaper.rehash', true), '') <> 'on' then
        perform session_reaper.request('user', new.:"user_key", tg_argv[0], tg_argv[1],
            pg_catalog.current_setting('session_reaper.keep_session', true));
    end if;
    return null;
end
$$;

comment on function session_reaper.credential_changed() is
    'Asks for the sessions of a user to end whose watched column has changed. Arguments: reason and policy.';

-- The same for a table beside the users, whose column for the user has to be looked up for each row. A function of
-- its own, so that a bulk change of passwords does not pay for that.
create or replace function session_reaper.factor_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    changed record := case when tg_op = 'DELETE' then old else new end;
    user_id :user_key_type;
begin
    execute pg_catalog.format('select ($1).%I', tg_argv[2]) into user_id using changed;
    if user_id is not null and coalesce(pg_catalog.current_setting('session_reaper.rehash', true), '') <> 'on' then
        perform session_reaper.request('user', user_id, tg_argv[0], tg_argv[1],
            pg_catalog.current_setting('session_reaper.keep_session', true));
    end if;
    return null;
end
$$;

comment on function session_reaper.factor_changed() is
    'Asks for the sessions of a user to end whose row in another table has come, changed or gone. Arguments: reason, policy, and the column that names the user.';

-- The foreign key is about to delete the links, after which nobody knows which sessions were the user's. So
-- they are noted by key.
create or replace function session_reaper.end_sessions_of_deleted(gone :user_key_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    revocation bigint;
begin
    -- The cascade waits for these anyway. One whose session is just getting another key is noted by that.
    perform from session_reaper.user_session l where l.user_id = gone order by l.session_key for update;
    -- Where sessions are read for their users, one may not have been read yet.
    if :reads or exists (select from session_reaper.user_session l where l.user_id = gone) then
        revocation := session_reaper.request('session', gone, 'deleted', 'all', null);
        insert into session_reaper.revoked_key (revocation_id, session_key, read)
        select revocation, l.session_key, l.read from session_reaper.user_session l where l.user_id = gone;
    end if;
end
$$;

comment on function session_reaper.end_sessions_of_deleted(:user_key_type) is
    'Asks for the sessions of a user who is gone to end, by their keys. For the functions of this schema only.';

-- Runs after the delete, because a BEFORE trigger would record deletes that another trigger then vetoes, and before
-- PostgreSQL's own RI_ triggers, because of its name.
create or replace function session_reaper.user_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.end_sessions_of_deleted(old.:"user_key");
    return null;
end
$$;

comment on function session_reaper.user_deleted() is 'Asks for the sessions of a deleted user to end.';

-- A user, or a session, that gets another key takes along what is still to be done: a revocation that names the old
-- key would find nothing and settle.
create or replace function session_reaper.follow_user(from_key :user_key_type, to_key :user_key_type)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    -- For date_link(), which could take this for a login of somebody else.
    select pg_catalog.set_config('session_reaper.renamed', 'on', true);
    update session_reaper.pending_eviction p set user_id = to_key where p.user_id = from_key;
    -- Whoever was deleted had the old key for good.
    update session_reaper.revocation r
    set user_id = to_key
    where r.user_id = from_key and r.state <> 'settled' and not session_reaper.is_deletion(r.scope, r.reason)
$$;

comment on function session_reaper.follow_user(:user_key_type, :user_key_type) is
    'Lets open revocations follow a user whose key changes. For the functions of this schema only.';

create or replace function session_reaper.user_renamed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.follow_user(old.:"user_key", new.:"user_key");
    return null;
end
$$;

comment on function session_reaper.user_renamed() is 'Lets open revocations follow a user whose key changes.';

-- The session that an app asked to keep is known by a digest of its key, also to revocations that have settled, since a
-- link that is read later may open them again (P2). And what was noted to be read under the old key is noted under the
-- new one. Where too much waits to look for it, or the table is being read, which may have passed the new key already, the
-- session counts as older than every change (P1).
create or replace function session_reaper.follow_session(
    from_key :session_key_base_type, to_key :session_key_base_type)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most constant integer := 10000;
begin
    -- Whoever deletes the user holds the link, and has named this session by its old key once it is to be had.
    perform from session_reaper.user_session l where l.session_key = from_key for update;
    update session_reaper.revoked_key k
    set session_key = to_key
    where k.session_key = from_key
      and not exists (
        select from session_reaper.revoked_key d
        where d.revocation_id = k.revocation_id and d.session_key = to_key);
    update session_reaper.revocation r
    set keep_digest = (session_reaper.keep_digests(to_key))[
        pg_catalog.array_position(session_reaper.keep_digests(from_key), r.keep_digest)]
    where r.keep_digest = any (session_reaper.keep_digests(from_key));
    -- The foreign key takes a link along.
    if not :reads or exists (select from session_reaper.user_session l where l.session_key in (from_key, to_key)) then
        return;
    end if;
    update session_reaper.opened_anonymous o set session_key = to_key where o.session_key = from_key;
    with waiting as materialized (
        select u.*
        from session_reaper.queue_reading q
        cross join lateral session_reaper.unread_since(q.read_to, most) u
    )
    insert into session_reaper.unread (session_key, was_there, xid, begun_at, snapshot)
    select to_key, w.was_there, w.xid, w.begun_at, w.snapshot from waiting w where w.session_key = from_key
    union all
    select to_key, true, '0', '-infinity', '1:1:'
    where (select pg_catalog.count(*) from waiting) = most
       or not (select t.complete from session_reaper.table_reading t)
          and not exists (select from waiting w where w.session_key = from_key);
end
$$;

comment on function session_reaper.follow_session(:session_key_base_type, :session_key_base_type) is
    'Lets what is known of a session follow it when its key changes. For the functions of this schema only.';

create or replace function session_reaper.session_renamed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.follow_session(old.:"session_key", new.:"session_key");
    if :evicts then
        perform session_reaper.note_deleted(old.:"session_key");
    end if;
    return null;
end
$$;

comment on function session_reaper.session_renamed() is
    'Lets what is known of a session follow it when its key changes, and the cache forget the old key.';

-- The path is pinned because it decides which names are printed with their schema: two roles would read two texts.
create or replace function session_reaper.trigger_text(trigger oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select pg_catalog.pg_get_triggerdef(trigger)
$$;

comment on function session_reaper.trigger_text(oid) is
    'A trigger as the catalog has it, in the same words for every role: tells whether somebody has replaced it.';
