-- schema::objects::replacement::may_be
-- How many blocks of the session table make one range, which table is replaced, and why pages are the better way, if they are.
select
    -- Large data are in a separate table, and a range with these must not take longer than a statement may.
    greatest(1, least($4::bigint, $4 * 4 * pg_catalog.pg_relation_size(s.oid) / greatest(1, pg_catalog.pg_table_size(s.oid)))),
    'session_reaper.user_session'::pg_catalog.regclass::oid,
    case
        when t.complete or session_reaper.is_paused() then 'nothing'
        -- While the queue is full and takes nothing more, it does not show which sessions have changed hands.
        when session_reaper.is_queue_full() then 'queue'
        -- Only an ordinary table can be read by the place of its rows.
        when s.relkind <> 'r' or s.relam <> (select a.oid from pg_catalog.pg_am a where a.amname = 'heap') then 'storage'
        when e.sessions < $2::float8 then 'few'
        when k.rows > $3 or k.rows * 10 >= e.sessions or q.rows > $3 then 'linked'
    end
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
