-- Linking a session to its user, from any app.

-- Whether the session exists; if so, it is locked. If that cannot be found out, because a right or the table itself is
-- missing, it counts as existing, and the foreign key decides, which uses other rights. The app's login goes on (P8).
create or replace function session_reaper.lock_session(wanted :session_key_base_type)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    perform from :"session_schema".:"session_table" s where s.:"session_key" = wanted for update;
    return found;
exception when others or assert_failure then
    return true;
end
$$;

comment on function session_reaper.lock_session(:session_key_base_type) is
    'Locks a session; false if it is gone. For the functions of this schema only.';

-- The call for an app that would rather not handle errors: it locks both rows before it inserts, so that the foreign keys
-- cannot fail. A failed one would write the session key into the server's log (P7), as would a constraint or a trigger that
-- the site has added. If one of these refuses it, the login fails, because a session of an unknown user would outlive every
-- change (P1); but the error is worded anew, without the key.
create or replace function session_reaper.link_session(
    session_key :session_key_type, user_id :user_key_type, credential_version text default null)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- As strong a lock as adopt_link() needs: two transactions with the weaker lock would wait for each other there (P6).
    if not session_reaper.lock_session(link_session.session_key) or not session_reaper.lock_user(link_session.user_id) then
        return false;
    end if;
    insert into session_reaper.user_session as l (session_key, user_id, credential_version)
    values (link_session.session_key, link_session.user_id, link_session.credential_version)
    on conflict on constraint user_session_pkey do update
        set user_id = excluded.user_id, credential_version = excluded.credential_version, from_data = false
        -- The daemon may have found the same user in the session already, and knows of no version.
        where l.user_id is distinct from excluded.user_id or excluded.credential_version is not null;
    return true;
exception
    when foreign_key_violation then
        return false;
    when others or assert_failure then
        raise exception 'session-reaper could not link the session (SQLSTATE %)', sqlstate using
            errcode = sqlstate,
            hint = 'What the database said is left out, because it may quote the session key. If a constraint or a trigger objects, somebody else has put it on session_reaper.user_session.';
end
$$;

comment on function session_reaper.link_session(:session_key_type, :user_key_type, text) is
    'Notes that this user is logged in to this session, in the transaction that logs in. Returns false if the session or the user is gone.';

-- A user whose key has changed is no new login: then no user has the old key any more, or this transaction has given it to
-- another user. If that cannot be found out, the link keeps its age (P1).
create or replace function session_reaper.is_another_login(old_id :user_key_type, new_id :user_key_type)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    return new_id is distinct from old_id
        and coalesce(pg_catalog.current_setting('session_reaper.renamed', true), '') = ''
        and exists (select from :"user_schema".:"user_table" u where u.:"user_key" = old_id);
exception when others or assert_failure then
    return false;
end
$$;

comment on function session_reaper.is_another_login(:user_key_type, :user_key_type) is
    'Whether a link that names another user now is a login of that user. For the functions of this schema only.';

-- A session that changes hands is as old as its new user's login. A version that the app handed back tells what the login
-- saw.
create or replace function session_reaper.date_link()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Compared here and not in the trigger's WHEN: a site with its own model on this table alters the column when its
    -- users' key grows, and PostgreSQL refuses that for a column that a trigger names. Links that were read from sessions
    -- are skipped, because the code that reads them dates them itself.
    if tg_op = 'UPDATE'
        and (new.from_data
            or new.user_id is not distinct from old.user_id
                and new.credential_version is not distinct from old.credential_version)
    then
        return new;
    end if;
    if tg_op = 'UPDATE' and session_reaper.is_another_login(old.user_id, new.user_id) then
        new.xid := pg_catalog.pg_current_xact_id();
        new.begun_at := case when pg_catalog.now() > pg_catalog.clock_timestamp() then '-infinity' else pg_catalog.now() end;
        new.snapshot := pg_catalog.pg_current_snapshot();
        new.linked_at := pg_catalog.clock_timestamp();
    end if;
    if new.credential_version is not null then
        new.snapshot := session_reaper.version_snapshot(new.credential_version);
    end if;
    return new;
end
$$;

comment on function session_reaper.date_link() is 'Dates a link by the transaction, or by the credential version, that made it.';

-- One revocation is enough, because it ends the session. One that was swept may have settled long ago; one that has not
-- been swept yet matters where no daemon serves.
create or replace function session_reaper.revocation_after(
    linked :session_key_base_type, of_user :user_key_type, link_xid xid8, link_begun_at timestamptz, link_snapshot pg_snapshot)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
    select d.id from session_reaper.deciding(of_user, linked, link_xid, link_begun_at, link_snapshot) d (id)
    union all
    (select r.id
    from (
        select u.* from session_reaper.revocation u
        where u.user_id = of_user :user_key_collation and u.scope = 'user' and u.changed_at is null
        union all
        select e.* from session_reaper.revocation e
        where e.user_id is null and e.scope = 'all' and e.changed_at is null
    ) r
    join session_reaper.change c on c.id = r.change_id
    where session_reaper.is_older(link_xid, link_begun_at, link_snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
      and not session_reaper.is_kept(linked, r.keep_digest, r.policy)
    limit 1)
    limit 1
$$;

comment on function session_reaper.revocation_after(:session_key_base_type, :user_key_type, xid8, timestamptz, pg_snapshot) is
    'A revocation that ends a session with this link, whatever its state; null if there is none. For the functions of this schema only.';

-- The revocation may have settled long ago: it is opened again, and if there is no daemon the session ends here. If it
-- cannot be opened, because another transaction has changed it since this one's snapshot, a new revocation names the
-- session: an insert conflicts with nothing, and the app's login goes on.
create or replace function session_reaper.hold_link_against_changes()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    held bigint[];
begin
    if tg_op = 'UPDATE'
        and new.user_id is not distinct from old.user_id
        and new.credential_version is not distinct from old.credential_version
    then
        return null;
    end if;
    held := array[session_reaper.revocation_after(new.session_key, new.user_id, new.xid, new.begun_at, new.snapshot)];
    if held[1] is null then
        return null;
    end if;
    begin
        update session_reaper.revocation r
        set :reopened
        where r.id = any (held);
    exception when others or assert_failure then
        held := array[session_reaper.request('session', new.user_id, 'stale version', 'all', null)];
        insert into session_reaper.revoked_key (revocation_id, session_key) values (held[1], new.session_key);
    end;
    begin
        perform session_reaper.announce();
        if not session_reaper.is_served() then
            perform session_reaper.sweep_inline(held, 1);
        end if;
    exception when others or assert_failure then
        update session_reaper.revocation r set last_error = sqlstate where r.id = held[1];
    end;
    return null;
end
$$;

comment on function session_reaper.hold_link_against_changes() is
    'Compares a link made under an old credential version with all changes, settled ones too.';

-- An app may link its session after the daemon has already found the user in it. Its login must not fail because of that,
-- least of all with a message that puts the key into the server's log (P7, P8). The lock waits for a daemon that is working
-- on the session, and keeps others off.
create or replace function session_reaper.adopt_link()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
begin
    perform session_reaper.lock_session(new.session_key);
    delete from session_reaper.user_session l
        where l.session_key = new.session_key and l.from_data
        returning l.user_id, l.xid, l.begun_at, l.snapshot into known;
    if found and known.user_id = new.user_id then
        new.xid := known.xid;
        new.begun_at := known.begun_at;
        new.snapshot := known.snapshot;
    end if;
    return new;
end
$$;

comment on function session_reaper.adopt_link() is
    'Lets an app''s own link replace one that was read, and keeps its age.';

-- Happens for instance when the users' table is truncated. Where the app links its sessions itself, the links cannot be
-- restored.
create or replace function session_reaper.links_truncated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if :reads then
        perform session_reaper.backfill_again('truncated');
    end if;
    return null;
exception when others or assert_failure then
    perform session_reaper.miss('write', sqlstate);
    return null;
end
$$;

comment on function session_reaper.links_truncated() is
    'Makes the daemon read all sessions again, because their links are about to be lost.';

create or replace trigger links_truncated
    before truncate on session_reaper.user_session
    for each statement
    execute function session_reaper.links_truncated();

create or replace trigger adopt_link
    before insert on session_reaper.user_session
    for each row
    when (not new.from_data)
    execute function session_reaper.adopt_link();

create or replace trigger date_link
    before insert on session_reaper.user_session
    for each row
    when (new.credential_version is not null)
    execute function session_reaper.date_link();

create or replace trigger date_changed_link
    before update on session_reaper.user_session
    for each row
    execute function session_reaper.date_link();

create or replace trigger hold_link_against_changes
    after insert or update on session_reaper.user_session
    for each row
    when (new.credential_version is not null)
    execute function session_reaper.hold_link_against_changes();
