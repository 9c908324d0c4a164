-- Like session_reaper.user_session, but only for the owner: the site's default privileges may give others access, and it
-- holds bearer credentials (P7).
do $$
declare
    old pg_catalog.pg_class;
    stranger oid;
begin
    select c.* into strict old from pg_catalog.pg_class c where c.oid = 'session_reaper.user_session'::regclass;
    execute pg_catalog.format(
        'create %s table session_reaper.user_session_built (like session_reaper.user_session including all excluding indexes)',
        case old.relpersistence when 'u' then 'unlogged' else '' end);
    execute pg_catalog.format('alter table session_reaper.user_session_built owner to %s', old.relowner::regrole);
    execute pg_catalog.format('comment on table session_reaper.user_session_built is %L',
        pg_catalog.obj_description(old.oid, 'pg_class'));
    if old.reloptions is not null then
        execute pg_catalog.format('alter table session_reaper.user_session_built set (%s)',
            pg_catalog.array_to_string(old.reloptions, ', '));
    end if;
    for stranger in
        select distinct a.grantee
        from pg_catalog.pg_class c
        cross join lateral pg_catalog.aclexplode(c.relacl) a
        where c.oid = 'session_reaper.user_session_built'::regclass and a.grantee <> c.relowner
    loop
        execute pg_catalog.format('revoke all on table session_reaper.user_session_built from %s',
            case stranger when 0 then 'public' else stranger::regrole::text end);
    end loop;
end
$$
