-- Sessions whose user is only in their data: which of them have been written and still have to be read, and how far the
-- reading has got.
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

    -- No primary key, because every append pays for every index. Three columns tell how old the login is, as in a link.
    execute pg_catalog.format($table$
        create table session_reaper.pending_link (
            session_key %s not null,
            queued_in xid8 not null default pg_catalog.pg_current_xact_id(),
            was_there boolean not null,
            xid xid8,
            begun_at timestamptz not null default
                case when pg_catalog.now() > pg_catalog.clock_timestamp() then '-infinity' else pg_catalog.now() end,
            snapshot pg_snapshot not null default pg_catalog.pg_current_snapshot()
        ) $table$, session_key_type);

    execute pg_catalog.format($table$
        create table session_reaper.opened_anonymous (
            session_key %s primary key
        ) $table$, session_key_type);
end
$$;

comment on table session_reaper.opened_anonymous is
    'Sessions that were opened while the session table was being read, and had no user then: a user who logs in to one is new to it (P2). Empty once the table has been read. Keys are bearer credentials: no role but the daemon''s may read this.';
comment on column session_reaper.opened_anonymous.session_key is 'The session. May be gone by now.';

-- Read by transaction, as the difference between two snapshots: what was read once is never looked at again, however many
-- dead rows a long transaction keeps vacuum from removing.
create index pending_link_by_transaction on session_reaper.pending_link (queued_in);

-- Under a publication FOR ALL TABLES nothing can be deleted from a table that has no identity.
alter table session_reaper.pending_link replica identity full;
-- Almost every row is deleted within a second.
alter table session_reaper.pending_link set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
-- Once full, it has to look full until the daemon has emptied it and asked for the table to be read again. If a vacuum gave
-- pages back in between, it would no longer show that some writes were not noted (P1).
alter table session_reaper.pending_link set (vacuum_truncate = off);

comment on table session_reaper.pending_link is
    'Keys of sessions whose data was written and has not been read yet for the user in it. A key is a bearer credential: no role but the daemon''s may read this.';
comment on column session_reaper.pending_link.session_key is 'The session. May be gone by now.';
comment on column session_reaper.pending_link.queued_in is
    'The transaction that inserted this row: the writer''s, or that of a daemon that could not link it yet.';
comment on column session_reaper.pending_link.was_there is
    'The session existed before this write, so its user may have been logged in to it for longer.';
comment on column session_reaper.pending_link.xid is
    'Top-level id of the transaction that wrote the data; null if it inserted this row itself.';
comment on column session_reaper.pending_link.begun_at is 'now() of that transaction; minus infinity if the clock was set back since.';
comment on column session_reaper.pending_link.snapshot is 'What that transaction saw.';

create table session_reaper.drain (
    only_row boolean primary key default true check (only_row),
    drained_to pg_snapshot not null default '1:1:'
);

insert into session_reaper.drain default values;

comment on table session_reaper.drain is
    'How far session_reaper.pending_link has been read. The daemon that reads it locks this row.';
comment on column session_reaper.drain.only_row is 'Keeps this table to one row.';
comment on column session_reaper.drain.drained_to is 'Rows of transactions that this snapshot sees have been read.';

create table session_reaper.backfill (
    only_row boolean primary key default true check (only_row),
    complete boolean not null default true,
    reason text,
    begun_at timestamptz,
    finished_at timestamptz,
    sessions bigint not null default 0,
    linked bigint not null default 0,
    least_begun_at timestamptz not null default '-infinity',
    least_snapshot pg_snapshot not null default '1:1:',
    -- As text, so that it does not hinder a change of the key's type.
    reached text
);

insert into session_reaper.backfill default values;

comment on table session_reaper.backfill is
    'How far the session table itself has been read: once after the installation, and again after a time in which writes were not noted. No revocation settles meanwhile (P1).';
comment on column session_reaper.backfill.only_row is 'Keeps this table to one row.';
comment on column session_reaper.backfill.complete is 'Every session has been read since it was last asked for.';
comment on column session_reaper.backfill.reason is 'Why it was asked for: installed, overflow, truncated, missed, arrived, asked for.';
comment on column session_reaper.backfill.begun_at is 'When it was asked for.';
comment on column session_reaper.backfill.finished_at is 'When it was complete.';
comment on column session_reaper.backfill.sessions is
    'How many sessions have been read, without those of the pages in session_reaper.page.';
comment on column session_reaper.backfill.linked is 'How many of these were linked to a user by it.';
comment on column session_reaper.backfill.least_begun_at is
    'Until it is complete: a session of unknown age is taken to have begun then. Minus infinity if it may be older than every change.';
comment on column session_reaper.backfill.least_snapshot is 'Until it is complete: what a session of unknown age is taken to have seen.';
comment on column session_reaper.backfill.reached is
    'The table has been cut into pages up to this key. Kept here, because a key sent as a parameter could reach the server''s log (P7).';

create table session_reaper.page (
    id bigint generated always as identity primary key,
    after_key text,
    to_key text not null,
    done boolean not null default false,
    sessions bigint not null default 0,
    linked bigint not null default 0
);

comment on table session_reaper.page is
    'Ranges of the session table that are still to be read, or have been read since the last ones were cut off. A daemon that reads one locks its row: several may read at once, and if one dies, the next reads its page.';
comment on column session_reaper.page.id is 'In the order of the keys.';
comment on column session_reaper.page.after_key is 'The key before the first one; null for the beginning. A bearer credential (P7).';
comment on column session_reaper.page.to_key is 'The last key. A bearer credential (P7).';
comment on column session_reaper.page.done is 'The page has been read.';
comment on column session_reaper.page.sessions is 'How many sessions the page had.';
comment on column session_reaper.page.linked is 'How many of these were linked to a user by it.';

-- Several daemons may read at once, and with one common row each would wait for the others' commits. So a reason has as
-- many rows as there have ever been counters at the same time.
create table session_reaper.unreadable (
    id bigint generated always as identity primary key,
    reason text not null,
    writes bigint not null,
    first_seen_at timestamptz not null default pg_catalog.clock_timestamp(),
    last_seen_at timestamptz not null default pg_catalog.clock_timestamp()
);

comment on table session_reaper.unreadable is
    'Session data in which no user could be found although it is not an anonymous visitor''s: counted, and never shown.';
comment on column session_reaper.unreadable.id is 'Distinguishes rows of one reason, which are to be added up.';
comment on column session_reaper.unreadable.reason is 'What is wrong with it, in a word.';
comment on column session_reaper.unreadable.writes is 'How often such data was read. One session counts each time that it is saved.';
comment on column session_reaper.unreadable.first_seen_at is 'When such data was first read.';
comment on column session_reaper.unreadable.last_seen_at is 'When such data was last read.';

create table session_reaper.missed (
    what text not null,
    sqlstate text not null,
    noted_at timestamptz not null default pg_catalog.clock_timestamp(),
    constraint missed_is_known check (what in ('write', 'eviction', 'change'))
);

-- Under a publication FOR ALL TABLES nothing can be deleted from a table that has no identity.
alter table session_reaper.missed replica identity full;

comment on table session_reaper.missed is
    'The app wrote or deleted sessions that could not be noted, because something of ours failed. No revocation settles while a write is here: the linker removes it and reads every session again (P1).';
comment on column session_reaper.missed.what is
    'write: a session was written, or got another key. eviction: one was deleted, and the cache was not told. change: a password arrived by replication, and its request failed.';
comment on column session_reaper.missed.sqlstate is 'The SQLSTATE of the failure. Never the text, which can quote a key (P7).';
comment on column session_reaper.missed.noted_at is 'When it failed.';

-- Links are compared with their users' passwords in the order in which they were made.
create index user_session_by_age on session_reaper.user_session (linked_at);

create table session_reaper.hash_check (
    only_row boolean primary key default true check (only_row),
    verified_to timestamptz not null default '-infinity'
);

insert into session_reaper.hash_check default values;

comment on table session_reaper.hash_check is
    'How far Django''s hashes in sessions have been compared with the passwords of their users. The comparing daemon locks it.';
comment on column session_reaper.hash_check.only_row is 'Keeps this table to one row.';
comment on column session_reaper.hash_check.verified_to is 'Links that were made up to then have been compared.';
