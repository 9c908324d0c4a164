-- Which session belongs to which user, and what the transaction that linked them could see. The types are those of the
-- site's own tables. UNLOGGED if the session table is, because a logged table cannot reference an unlogged one.
do $$
declare
    sessions regclass := pg_catalog.current_setting('session_reaper.session_table')::pg_catalog.regclass;
    session_key_type text;
    user_key_type text;
    persistence text;
begin
    select case c.relpersistence when 'u' then 'unlogged' else '' end
        into strict persistence
        from pg_catalog.pg_class c
        where c.oid = sessions;
    -- With a key compared under another collation, neither our statements nor the cascade that deletes a session or a user
    -- could use an index.
    select pg_catalog.format_type(a.atttypid, a.atttypmod)
            || case when a.attcollation <> t.typcollation
                then pg_catalog.format(' collate %I.%I', n.nspname, l.collname) else '' end
        into strict session_key_type
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        left join pg_catalog.pg_collation l on l.oid = a.attcollation
        left join pg_catalog.pg_namespace n on n.oid = l.collnamespace
        where a.attrelid = sessions
          and a.attname = pg_catalog.current_setting('session_reaper.session_key');
    select pg_catalog.format_type(a.atttypid, a.atttypmod)
            || case when a.attcollation <> t.typcollation
                then pg_catalog.format(' collate %I.%I', n.nspname, l.collname) else '' end
        into strict user_key_type
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        left join pg_catalog.pg_collation l on l.oid = a.attcollation
        left join pg_catalog.pg_namespace n on n.oid = l.collnamespace
        where a.attrelid = pg_catalog.current_setting('session_reaper.user_table')::pg_catalog.regclass
          and a.attname = pg_catalog.current_setting('session_reaper.user_key');

    execute pg_catalog.format($table$
        create %s table session_reaper.user_session (
            session_key %s primary key,
            user_id %s not null,
            -- What the age rule (sql/verdict.sql) compares with a change.
            xid xid8 not null default pg_catalog.pg_current_xact_id(),
            begun_at timestamptz not null default
                case when pg_catalog.now() > pg_catalog.clock_timestamp() then '-infinity' else pg_catalog.now() end,
            snapshot pg_snapshot not null default pg_catalog.pg_current_snapshot(),
            credential_version text,
            from_data boolean not null default false,
            linked_at timestamptz not null default pg_catalog.clock_timestamp()
        ) $table$, persistence, session_key_type, user_key_type);
end
$$;

create index user_session_of_user on session_reaper.user_session (user_id);

comment on table session_reaper.user_session is
    'Session key -> user. Deleting the session or the user deletes the link. An app that links its sessions calls session_reaper.link_session() in the transaction that logs the user in. The owner may insert session_key and user_id here; the rest has defaults that tell how old the login is. But if that statement fails, the server''s log has the key.';
comment on column session_reaper.user_session.session_key is
    'The session''s key, as in the site''s session table. A bearer credential (P7).';
comment on column session_reaper.user_session.user_id is 'The user who is logged in to it.';
comment on column session_reaper.user_session.xid is 'Top-level id of the transaction that first put this user into this session.';
comment on column session_reaper.user_session.begun_at is
    'now() of that transaction; minus infinity if the clock was set back since, so that it is not known.';
comment on column session_reaper.user_session.snapshot is
    'What that transaction saw, or what the statement that read the password saw, if the app handed its credential_version back.';
comment on column session_reaper.user_session.credential_version is
    'What session_reaper.credential_version() returned beside the password hash; null if the app does not use it.';
comment on column session_reaper.user_session.from_data is
    'The link was found in the session itself, by the daemon or by a trigger on the session table, and not made by the app: it goes when the session names no user now.';
comment on column session_reaper.user_session.linked_at is 'When the link was made.';
