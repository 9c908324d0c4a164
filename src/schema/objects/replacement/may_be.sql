-- schema::objects::replacement::may_be
-- How many blocks of the session table make one range, and which table is replaced; no row if pages are the better way.
select
    -- Large data are in a separate table, and a range with these must not take longer than a statement may.
    greatest(1, least($4::bigint, $4 * 4 * pg_catalog.pg_relation_size(s.oid) / greatest(1, pg_catalog.pg_table_size(s.oid)))),
    'session_reaper.user_session'::pg_catalog.regclass::oid
from session_reaper.backfill t
cross join pg_catalog.pg_class s
cross join lateral (
    select case when s.reltuples < 0 then pg_catalog.pg_relation_size(s.oid) / 1000 else s.reltuples end as sessions) e
cross join lateral (
    select pg_catalog.count(*) as rows from (select from session_reaper.user_session limit $3::bigint + 1) counted) k
cross join lateral (
    select pg_catalog.count(*) as rows from (
        select
        from session_reaper.drain r
        cross join lateral session_reaper.pending_since(r.drained_to, $3::integer + 1) u) counted) q
where s.oid = $1
  and not t.complete
  and not session_reaper.is_paused()
  -- While the queue is full and takes nothing more, it does not show which sessions have changed hands.
  and not session_reaper.is_queue_full()
  and e.sessions >= $2::float8
  and k.rows <= $3 and k.rows * 10 < e.sessions
  and q.rows <= $3
  -- Only an ordinary table can be read by the place of its rows.
  and s.relkind = 'r'
  and s.relam = (select a.oid from pg_catalog.pg_am a where a.amname = 'heap')
