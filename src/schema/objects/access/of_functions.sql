-- schema::objects::access::of_functions
select pg_catalog.quote_ident(r.rolname),
    not pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'usage'),
    (
        select pg_catalog.string_agg(p.name, ', ' order by p.place)
        from pg_catalog.unnest(pg_catalog.string_to_array($2::text, ',')) with ordinality as p (name, place)
        where not pg_catalog.has_table_privilege(r.oid, c.oid, p.name)
    ),
    -- Row security is active for this role: "set row_security = off" then makes each statement fail.
    c.relrowsecurity and not r.rolsuper and not r.rolbypassrls
        and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'usage'))
from (
    select distinct p.proowner as oid
    from pg_catalog.pg_proc p
    where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace and p.prosecdef
) o
join pg_catalog.pg_roles r on r.oid = o.oid
join pg_catalog.pg_class c on c.oid = $1
order by r.rolname
