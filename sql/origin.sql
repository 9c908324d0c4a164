-- Transaction ids that came with a dump of another server.

create or replace function session_reaper.is_from_elsewhere(seen pg_snapshot)
returns boolean
language sql
stable
return pg_catalog.pg_snapshot_xmax(seen) > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot());

comment on function session_reaper.is_from_elsewhere(pg_snapshot) is
    'Whether this snapshot lies in this server''s future, and so comes from another one: transaction ids do not survive a dump.';
