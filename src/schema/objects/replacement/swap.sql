-- Links made meanwhile, by the app or by a page, are more exact.
delete from session_reaper.user_session_built b
using session_reaper.user_session l
where b.session_key = l.session_key;

-- The hashes of links that were not visible have not been compared yet.
update session_reaper.hash_check h
set verified_to = b.first_linked_at - interval '1 microsecond'
from (select pg_catalog.min(l.linked_at) as first_linked_at from session_reaper.user_session_built l) b
where h.verified_to >= b.first_linked_at;

insert into session_reaper.user_session_built select l.* from session_reaper.user_session l;

do $$
declare
    old constant regclass := 'session_reaper.user_session';
    triggers constant text[] := array(
        select pg_catalog.pg_get_triggerdef(g.oid)
        from pg_catalog.pg_trigger g
        where g.tgrelid = old and not g.tgisinternal);
    grants constant text[] := array(
        select pg_catalog.format('grant %s %s on session_reaper.user_session to %s %s',
            a.privilege_type, a.columns,
            case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
            case when a.is_grantable then 'with grant option' end)
        from (
            select g.*, null as columns
            from pg_catalog.pg_class c
            cross join lateral pg_catalog.aclexplode(c.relacl) g
            where c.oid = old
            union all
            select g.*, pg_catalog.format('(%I)', c.attname)
            from pg_catalog.pg_attribute c
            cross join lateral pg_catalog.aclexplode(c.attacl) g
            where c.attrelid = old and not c.attisdropped
        ) a);
    index name;
    statement text;
begin
    for index in
        select c.relname
        from pg_catalog.pg_index i
        join pg_catalog.pg_class c on c.oid = i.indexrelid
        where i.indrelid = old
    loop
        execute pg_catalog.format('alter index session_reaper.%I rename to %I', index, index || '_replaced');
        execute pg_catalog.format('alter index session_reaper.%I rename to %I', index || '_built', index);
    end loop;
    alter table session_reaper.user_session rename to user_session_replaced;
    alter table session_reaper.user_session_built rename to user_session;
    foreach statement in array grants || triggers loop
        execute statement;
    end loop;
    alter table session_reaper.user_session enable replica trigger note_arrival;
end
$$;
