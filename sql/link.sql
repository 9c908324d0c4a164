-- Linking a session to its user, from any app.

-- What the statement that reads the password hash can see. Handed back when the session is linked, it lets a
-- login that verified an older password be recognised although it inserts its session much later. STABLE,
-- so that it sees what the rest of the statement sees; a volatile function returned what came after.
--
-- Whoever reads the hash that his own transaction has just changed has seen the change, and the login that he hands this
-- to is not to end (P2). Whoever reads it before, in the transaction that changes it afterwards, has not (P1).
create or replace function session_reaper.credential_version(user_id :user_key_type)
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
    select coalesce(
        (select session_reaper.seen_with(pg_catalog.pg_current_snapshot(), o.xid, exists (
            select
            from session_reaper.change c
            join session_reaper.revocation r on r.change_id = c.id
            where c.xid = o.xid and c.begun_at = pg_catalog.now()
              and (r.scope = 'all' or r.user_id = credential_version.user_id)))
         from (select pg_catalog.pg_current_xact_id_if_assigned() as xid) o
         where o.xid is not null),
        pg_catalog.pg_current_snapshot())::text
$$;

comment on function session_reaper.credential_version(:user_key_type) is
    'To be read in the same statement as the password hash, and handed to link_session(): a session linked under an older version is dead on arrival. Opaque.';

-- The call for an app that would rather not handle errors: it locks both rows before it inserts, so that the
-- foreign keys cannot fail. A failed one would write the session key into the server's log (P7).
create or replace function session_reaper.link_session(
    session_key :session_key_type, user_id :user_key_type, credential_version text default null)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- As strong as adopt_link() needs it: two who got the weaker lock would wait for each other there (P6).
    perform from :"session_schema".:"session_table" s
        where s.:"session_key" = link_session.session_key for update;
    if not found then
        return false;
    end if;
    perform from :"user_schema".:"user_table" u where u.:"user_key" = link_session.user_id for key share;
    if not found then
        return false;
    end if;
    insert into session_reaper.user_session as l (session_key, user_id, credential_version)
    values (link_session.session_key, link_session.user_id, link_session.credential_version)
    on conflict on constraint user_session_pkey do update
        set user_id = excluded.user_id, credential_version = excluded.credential_version, read = false
        -- The daemon may have found the same user in the session already, and knows of no version.
        where l.user_id is distinct from excluded.user_id or excluded.credential_version is not null;
    return true;
end
$$;

comment on function session_reaper.link_session(:session_key_type, :user_key_type, text) is
    'Notes that this user is logged in to this session, in the transaction that logs in. Returns false if the session or the user is gone.';

-- A session that changes hands is as young as its new user; a version that was handed back says what the
-- login saw. One that cannot be read saw nothing: the session counts as older than every change.
create or replace function session_reaper.date_link()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Compared here and not in the trigger's WHEN: a site with a model of its own on this table alters the column
    -- when its users' key grows, and PostgreSQL refuses that for a column that a trigger names.
    -- And who reads a session for its user dates the link himself.
    if tg_op = 'UPDATE'
        and (new.read
            or new.user_id is not distinct from old.user_id
                and new.credential_version is not distinct from old.credential_version)
    then
        return new;
    end if;
    -- A user who is known by another key now is no new login: then there is none with the old key any more, or this
    -- transaction has given it to somebody else.
    if tg_op = 'UPDATE' and new.user_id is distinct from old.user_id
        and coalesce(pg_catalog.current_setting('session_reaper.renamed', true), '') = ''
        and exists (select from :"user_schema".:"user_table" u where u.:"user_key" = old.user_id)
    then
        new.xid := pg_catalog.pg_current_xact_id();
        new.begun_at := pg_catalog.now();
        new.snapshot := pg_catalog.pg_current_snapshot();
        new.linked_at := pg_catalog.clock_timestamp();
    end if;
    if new.credential_version is not null then
        begin
            new.snapshot := new.credential_version::pg_snapshot;
        exception when data_exception then
            new.snapshot := '1:1:';
        end;
    end if;
    return new;
end
$$;

comment on function session_reaper.date_link() is 'Dates a link by the transaction, or by the credential version, that made it.';

-- The changes that a version is older than may have settled long ago: they are opened again, and where there
-- is no daemon the session ends here.
create or replace function session_reaper.hold_link_against_changes()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    reopened bigint[];
begin
    if tg_op = 'UPDATE'
        and new.user_id is not distinct from old.user_id
        and new.credential_version is not distinct from old.credential_version
    then
        return null;
    end if;
    with stale as (
        update session_reaper.revocation r
        set state = 'requested', horizon_id = null, settled_at = null, next_attempt_at = '-infinity', attempts = 0
        from session_reaper.change c
        where c.id = r.change_id
          and r.id = any (array(
            select u.id from session_reaper.revocation u where u.user_id = new.user_id and u.scope = 'user'
            union all
            select e.id from session_reaper.revocation e where e.scope = 'all'))
          and session_reaper.is_older(new.xid, new.begun_at, new.snapshot, c.xid, c.begun_at, c.at, r.policy)
          and not session_reaper.is_kept(new.session_key, r.keep_digest, r.policy)
        returning r.id
    )
    select pg_catalog.array_agg(s.id) into reopened from stale s;
    if reopened is not null then
        perform session_reaper.announce();
        if not session_reaper.is_served() then
            perform session_reaper.sweep(reopened, 1, true);
        end if;
    end if;
    return null;
end
$$;

comment on function session_reaper.hold_link_against_changes() is
    'A link made under an old credential version is held against all changes, settled ones too.';

-- An app may link its session after the daemon has found the user in it already. Its login must not fail for that, and
-- least of all with a message that puts the key into the server's log (P7, P8). The lock waits for a daemon that has the
-- session in hand, and keeps others off.
create or replace function session_reaper.adopt_link()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
begin
    perform from :"session_schema".:"session_table" s where s.:"session_key" = new.session_key for update;
    delete from session_reaper.user_session l
        where l.session_key = new.session_key and l.read
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
    'Lets an app''s own link take the place of one that was read, which is as old as that.';

-- With the users' table, for instance, when that is truncated. Where the app links its sessions itself, nobody can.
create or replace function session_reaper.links_truncated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if :reads then
        perform session_reaper.read_all_again('truncated');
    end if;
    return null;
end
$$;

comment on function session_reaper.links_truncated() is
    'Has all sessions read for their users again whose links are about to be lost.';

create or replace trigger links_truncated
    before truncate on session_reaper.user_session
    for each statement
    execute function session_reaper.links_truncated();

create or replace trigger adopt_link
    before insert on session_reaper.user_session
    for each row
    when (not new.read)
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
