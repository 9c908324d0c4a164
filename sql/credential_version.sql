-- What a login saw when it read the password hash, for an app to hand back when it links the session.

-- From the name of the current WAL file, because the control file learns of a promotion only at the next checkpoint.
create or replace function session_reaper.current_timeline()
returns integer
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::integer
$$;

comment on function session_reaper.current_timeline() is 'The timeline of a server that is not in recovery.';

-- Transaction ids mean nothing on another server, and after a promotion the same id can name another transaction. On a
-- standby the timeline is known from what has been replayed, which can lag behind for as long as a checkpoint takes. The
-- WAL receiver knows it sooner, if the owner of this function may query it.
create or replace function session_reaper.version_origin()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select pg_catalog.format('%s.%s',
        (select s.system_identifier from pg_catalog.pg_control_system() s),
        case when pg_catalog.pg_is_in_recovery() then greatest(
            (select c.timeline_id from pg_catalog.pg_control_checkpoint() c),
            (select r.min_recovery_end_timeline from pg_catalog.pg_control_recovery() r),
            (select w.received_tli from pg_catalog.pg_stat_get_wal_receiver() w))
        else session_reaper.current_timeline() end)
$$;

comment on function session_reaper.version_origin() is
    'System identifier and timeline of this server: a credential version counts only where both are the same.';

-- A snapshot on a standby does not distinguish running transactions from finished ones: it lists none as running, although
-- changes may be in flight. Only transactions older than all of these have certainly been seen (P1).
create or replace function session_reaper.seen_here()
returns pg_snapshot
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case when pg_catalog.pg_is_in_recovery()
        then pg_catalog.format('%1$s:%1$s:', pg_catalog.pg_snapshot_xmin(s.seen))::pg_snapshot
        else s.seen end
    from (select pg_catalog.pg_current_snapshot() as seen) s
$$;

comment on function session_reaper.seen_here() is
    'What this statement sees for certain, on a standby as well. For the functions of this schema only.';

-- What the statement that reads the password hash can see. The app hands it back when it links the session. So a login that
-- verified an older password is recognised, even if it inserts its session much later. STABLE, so that it sees what the
-- rest of the statement sees; a volatile function would also see what was committed later.
--
-- A transaction that changes the hash and then reads it has seen its own change, and the login that gets this version must
-- not end (P2). A transaction that reads the hash before it changes it has not seen the change (P1).
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
    select session_reaper.version_origin() || '/' || coalesce(
        (select session_reaper.seen_with(pg_catalog.pg_current_snapshot(), o.xid, exists (
            select
            from session_reaper.change c
            join session_reaper.revocation r on r.change_id = c.id
            where c.xid = o.xid and c.begun_at = pg_catalog.now()
              and (r.scope = 'all' or r.user_id = credential_version.user_id)))
         from (select pg_catalog.pg_current_xact_id_if_assigned() as xid) o
         where o.xid is not null),
        session_reaper.seen_here())::text
$$;

comment on function session_reaper.credential_version(:user_key_type) is
    'To be read in the same statement as the password hash, and handed to link_session(): a session linked under an older version is dead on arrival. Opaque.';

-- A version that cannot be read, or that comes from another server or timeline, saw nothing: the session counts as older
-- than every change (P1).
create or replace function session_reaper.version_snapshot(credential_version text)
returns pg_snapshot
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_catalog.split_part(credential_version, '/', 1) = session_reaper.version_origin() then
        return pg_catalog.split_part(credential_version, '/', 2)::pg_snapshot;
    end if;
    return '1:1:';
exception when data_exception then
    return '1:1:';
end
$$;

comment on function session_reaper.version_snapshot(text) is
    'What the statement that read this credential version saw. For the functions of this schema only.';
