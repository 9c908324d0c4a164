-- schema::objects::access::own_settings
-- Settings that an app makes for one transaction, made for all of them.
with kept as (
    select pg_catalog.split_part(c.setting, '=', 1) as name,
        case when s.setrole = 0 then 'every role' else pg_catalog.pg_get_userbyid(s.setrole) end
            || case when s.setdatabase = 0 then ' in every database' else '' end as for_whom
    from pg_catalog.pg_db_role_setting s
    cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
    where c.setting like 'session\_reaper.%'
      and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))
)
select k.name, pg_catalog.string_agg(k.for_whom, ' and ' order by k.for_whom) from kept k group by k.name
union all
-- In the server's configuration, which not every role may read; or in the way in which this program connects.
select o.name, 'the whole server, or for how this connects'
from pg_catalog.unnest(array['rehash', 'keep_session', 'renamed', 'ending', 'noting', 'noting_deleted']) as n (short)
cross join lateral (select 'session_reaper.' || n.short as name) o
where coalesce(pg_catalog.current_setting(o.name, true), '') not in ('', 'off')
  and not exists (select from kept k where k.name = o.name)
order by 1
