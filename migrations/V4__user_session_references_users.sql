-- A separate transaction, because it locks the site's user table for as long as adding a foreign key to an empty table
-- takes.
do $$
begin
    -- The site's table before ours: the order in which the app locks them.
    execute pg_catalog.format('lock table %s in share row exclusive mode',
        pg_catalog.current_setting('session_reaper.user_table')::pg_catalog.regclass);
    execute pg_catalog.format(
        'alter table session_reaper.user_session add constraint user_session_of_user
            foreign key (user_id) references %s (%I) on delete cascade on update cascade',
        pg_catalog.current_setting('session_reaper.user_table')::pg_catalog.regclass,
        pg_catalog.current_setting('session_reaper.user_key'));
end
$$;
