-- schema::objects::access::of_daemon
select r.rolname::text, array(
    select 'the schema session_reaper'
    where not pg_catalog.has_schema_privilege(r.oid, 'session_reaper', 'usage')
    union all
    select distinct 'table ' || c.relname
    from rows from (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) as n (name, needed)
    join pg_catalog.pg_class c on c.relnamespace = 'session_reaper'::pg_catalog.regnamespace and c.relname = n.name
    cross join lateral pg_catalog.regexp_split_to_table(n.needed, ', ') p (privilege)
    where not pg_catalog.has_table_privilege(r.oid, c.oid, p.privilege)
    union all
    select 'function ' || p.proname
    from pg_catalog.pg_proc p
    where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace
      and p.proname = any ($4::text[])
      and not pg_catalog.has_function_privilege(r.oid, p.oid, 'execute')
    order by 1)
from pg_catalog.pg_roles r
where r.rolname = coalesce($1::text::name, current_user)
