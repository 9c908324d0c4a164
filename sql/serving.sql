-- Whether a daemon serves this database. While none does, the changing transaction ends the sessions itself (P4).

-- Each daemon's listening connection holds a shared advisory lock; it costs no writes and dies with the connection. Its
-- second number is random, because any role could take a known one and keep daemons off; daemons of earlier releases hold
-- 1. Only a role that may mark revocations counts, or any role could take such a lock and switch the fail-closed path off.
-- Never probed by trying to lock: a second changer would see the first one's probe.
create or replace function session_reaper.is_served()
returns boolean
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from pg_catalog.pg_locks l
        cross join lateral pg_catalog.pg_stat_get_activity(l.pid) a
        where l.locktype = 'advisory'
          and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
          and l.classid = 1397903442
          -- These are held by processes that change our schema, and by earlier releases' purges.
          and l.objid not in (2, 3)
          and l.objsubid = 2
          and l.granted
          -- A prepared transaction's lock has no process, and asking for the activity of a null process returns that of
          -- all.
          and l.pid is not null
          and pg_catalog.has_table_privilege(a.usesysid, 'session_reaper.revocation', 'update'))
$$;

comment on function session_reaper.is_served() is 'Whether a daemon listens to this database now.';

-- For people: a daemon that cannot enrol serves all the same. Rows that others have left are passed over if they are locked
-- (P6).
create or replace function session_reaper.enrol(host text, version text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from session_reaper.daemon d
    where d.pid = any (array(
        select o.pid
        from session_reaper.daemon o
        where o.pid = pg_backend_pid() or not exists (
            select from pg_catalog.pg_locks l where l.locktype = 'advisory' and l.classid = 1397903442 and l.pid = o.pid)
        for update skip locked));
    insert into session_reaper.daemon (pid, host, version) values (pg_backend_pid(), host, version)
    on conflict do nothing;
exception when others then
    null;
end
$$;

comment on function session_reaper.enrol(text, text) is 'Notes which daemon serves on this connection. Never fails.';

create or replace function session_reaper.serving_daemons()
returns setof session_reaper.daemon
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select d.*
    from session_reaper.daemon d
    where exists (
        select
        from pg_catalog.pg_locks l
        where l.locktype = 'advisory' and l.classid = 1397903442 and l.objsubid = 2 and l.granted and l.pid = d.pid
          and l.database = (select b.oid from pg_catalog.pg_database b where b.datname = pg_catalog.current_database()))
    order by d.since
$$;

comment on function session_reaper.serving_daemons() is 'The daemons that serve this database, as far as they have enrolled.';
