-- A separate transaction, because it locks the site's session table for as long as adding a foreign key to an empty table
-- takes. "on update cascade" because some stores (Spring Session) rename a session's id.
do $$
begin
    -- The site's table before ours: the order in which the app locks them.
    execute pg_catalog.format('lock table %s in share row exclusive mode',
        pg_catalog.current_setting('session_reaper.session_table')::pg_catalog.regclass);
    execute pg_catalog.format(
        'alter table session_reaper.user_session add constraint user_session_of_session
            foreign key (session_key) references %s (%I) on delete cascade on update cascade',
        pg_catalog.current_setting('session_reaper.session_table')::pg_catalog.regclass,
        pg_catalog.current_setting('session_reaper.session_key'));
end
$$;
