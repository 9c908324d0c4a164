-- Sessions whose user stands in their data and nowhere else: which of them have been written and still have to be
-- read, and how far the reading is.
do $$
declare
    session_key_type text;
begin
    select pg_catalog.format_type(a.atttypid, a.atttypmod)
            || case when a.attcollation <> t.typcollation
                then pg_catalog.format(' collate %I.%I', n.nspname, l.collname) else '' end
        into strict session_key_type
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        left join pg_catalog.pg_collation l on l.oid = a.attcollation
        left join pg_catalog.pg_namespace n on n.oid = l.collnamespace
        where a.attrelid = pg_catalog.current_setting('session_reaper.session_table')::pg_catalog.regclass
          and a.attname = pg_catalog.current_setting('session_reaper.session_key')
          and not a.attisdropped;

    -- No primary key: whoever appends pays for every index. Three columns say how old the login is, as a link's do.
    execute pg_catalog.format($table$
        create table session_reaper.unread (
            session_key %s not null,
            queued_in xid8 not null default pg_catalog.pg_current_xact_id(),
            was_there boolean not null,
            xid xid8,
            begun_at timestamptz not null default pg_catalog.now(),
            snapshot pg_snapshot not null default pg_catalog.pg_current_snapshot()
        ) $table$, session_key_type);

    execute pg_catalog.format($table$
        create table session_reaper.opened_anonymous (
            session_key %s primary key
        ) $table$, session_key_type);
end
$$;

comment on table session_reaper.opened_anonymous is
    'Sessions that were opened while the session table was being read, and had no user then: who comes into one of these is new to it (P2). Empty once the table has been read. Keys are bearer credentials: no role but the daemon''s may read this.';
comment on column session_reaper.opened_anonymous.session_key is 'The session. May be gone by now.';

-- Read by transaction, as a change of what a snapshot sees: what was read once is never looked at again, however
-- many dead rows a long transaction keeps vacuum from taking away.
create index unread_by_transaction on session_reaper.unread (queued_in);

-- Under a publication FOR ALL TABLES nothing can be deleted from a table that has no identity.
alter table session_reaper.unread replica identity full;
-- Almost every row is deleted within a second.
alter table session_reaper.unread set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
-- Once full, it has to look full until the daemon has emptied it and asked for the table to be read again: a vacuum that
-- gave pages back in between would make everybody forget that there were writes that nobody noted (P1).
alter table session_reaper.unread set (vacuum_truncate = off);

comment on table session_reaper.unread is
    'Keys of sessions whose data was written and has not been read yet for the user in it. A key is a bearer credential: no role but the daemon''s may read this.';
comment on column session_reaper.unread.session_key is 'The session. May be gone by now.';
comment on column session_reaper.unread.queued_in is 'The transaction that put this row here: the writer, or the daemon that could not link it yet.';
comment on column session_reaper.unread.was_there is 'The session existed before this write, so its user may have been in it for longer.';
comment on column session_reaper.unread.xid is 'Top-level id of the transaction that wrote the data; null if that put this row here itself.';
comment on column session_reaper.unread.begun_at is 'now() of that transaction.';
comment on column session_reaper.unread.snapshot is 'What that transaction saw.';

create table session_reaper.queue_reading (
    only_row boolean primary key default true check (only_row),
    read_to pg_snapshot not null default '1:1:'
);

insert into session_reaper.queue_reading default values;

comment on table session_reaper.queue_reading is 'How far session_reaper.unread has been read. Whoever reads it locks this row.';
comment on column session_reaper.queue_reading.only_row is 'Keeps this table to one row.';
comment on column session_reaper.queue_reading.read_to is 'Rows of transactions that this snapshot sees have been read.';

create table session_reaper.table_reading (
    only_row boolean primary key default true check (only_row),
    complete boolean not null default true,
    reason text,
    begun_at timestamptz,
    finished_at timestamptz,
    sessions bigint not null default 0,
    linked bigint not null default 0,
    -- As text, so that a key that gets another type is in nobody's way.
    reached text
);

insert into session_reaper.table_reading default values;

comment on table session_reaper.table_reading is
    'How far the session table itself has been read: once after the installation, and again after a time in which what was written was not noted. No revocation settles meanwhile (P1).';
comment on column session_reaper.table_reading.only_row is 'Keeps this table to one row.';
comment on column session_reaper.table_reading.complete is 'Every session has been read since it was last asked for.';
comment on column session_reaper.table_reading.reason is 'Why it was asked for: installed, resumed, overflow, truncated.';
comment on column session_reaper.table_reading.begun_at is 'When it was asked for.';
comment on column session_reaper.table_reading.finished_at is 'When it was complete.';
comment on column session_reaper.table_reading.sessions is 'How many sessions have been read, without those of the pages that are there.';
comment on column session_reaper.table_reading.linked is 'How many of these were linked to a user by it.';
comment on column session_reaper.table_reading.reached is 'Up to this key the table has been cut into pages. Kept here, as a key that the daemon sent as a parameter could reach the server''s log (P7).';

create table session_reaper.page (
    id bigint generated always as identity primary key,
    after_key text,
    to_key text not null,
    done boolean not null default false,
    sessions bigint not null default 0,
    linked bigint not null default 0
);

comment on table session_reaper.page is
    'Stretches of the session table that are still to be read, or have been since the last ones were cut off. Whoever reads one locks its row: several may read at once, and what one leaves behind that dies is read by the next.';
comment on column session_reaper.page.id is 'In the order of the keys.';
comment on column session_reaper.page.after_key is 'The key before the first one; null for the beginning. A bearer credential (P7).';
comment on column session_reaper.page.to_key is 'The last key. A bearer credential (P7).';
comment on column session_reaper.page.done is 'It has been read.';
comment on column session_reaper.page.sessions is 'How many sessions it had.';
comment on column session_reaper.page.linked is 'How many of these were linked to a user by it.';

create table session_reaper.unreadable (
    reason text primary key,
    writes bigint not null,
    first_seen_at timestamptz not null default pg_catalog.clock_timestamp(),
    last_seen_at timestamptz not null default pg_catalog.clock_timestamp()
);

comment on table session_reaper.unreadable is
    'Session data in which no user could be found although it is not that of an anonymous visitor: counted, and never shown.';
comment on column session_reaper.unreadable.reason is 'What is wrong with it, in a word.';
comment on column session_reaper.unreadable.writes is 'How often such data was read. One session counts each time that it is saved.';
comment on column session_reaper.unreadable.first_seen_at is 'When it was read first.';
comment on column session_reaper.unreadable.last_seen_at is 'When it was read last.';

-- Links are compared with their users' passwords in the order in which they were made.
create index user_session_by_age on session_reaper.user_session (linked_at);

create table session_reaper.hash_reading (
    only_row boolean primary key default true check (only_row),
    verified_to timestamptz not null default '-infinity'
);

insert into session_reaper.hash_reading default values;

comment on table session_reaper.hash_reading is
    'How far Django''s hashes in sessions have been compared with the passwords of their users. Whoever compares locks this row.';
comment on column session_reaper.hash_reading.only_row is 'Keeps this table to one row.';
comment on column session_reaper.hash_reading.verified_to is 'Links that were made until then have been compared.';
