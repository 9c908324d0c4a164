-- The indexes of session_reaper.user_session, including those that the site has added. None can fail on a key, because all
-- rows are from one snapshot of a table whose keys are unique (P7).
do $$
declare
    old record;
begin
    for old in
        select c.relname || '_built' as name, pg_catalog.pg_get_indexdef(c.oid) as definition, i.indisprimary
        from pg_catalog.pg_index i
        join pg_catalog.pg_class c on c.oid = i.indexrelid
        where i.indrelid = 'session_reaper.user_session'::regclass
    loop
        execute pg_catalog.regexp_replace(old.definition,
            '^CREATE (UNIQUE )?INDEX \S+ ON session_reaper\.user_session USING',
            pg_catalog.format('CREATE \1INDEX %I ON session_reaper.user_session_built USING', old.name));
        if old.indisprimary then
            execute pg_catalog.format(
                'alter table session_reaper.user_session_built add constraint %1$I primary key using index %1$I', old.name);
        end if;
    end loop;
end
$$
