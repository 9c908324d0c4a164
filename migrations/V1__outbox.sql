-- What has been asked for and how far it has got: changes, the revocations that they cause, and what a revocation waits
-- for. The rows are the truth (P3); NOTIFY only signals that there is something to look at.
--
-- The names of the site's tables arrive as session settings, so that this text, and with it the checksum that refinery
-- keeps, is the same on every site. Our keys take their types from the site's user and session keys.

create table session_reaper.change (
    id bigint generated always as identity primary key,
    -- What the age rule (sql/verdict.sql) compares sessions with. Both parts of a transaction's identity are kept, because
    -- transaction ids begin anew after a dump is restored.
    xid xid8 not null default pg_catalog.pg_current_xact_id(),
    begun_at timestamptz not null default pg_catalog.now(),
    at timestamptz,
    newer_from xid8,
    -- Bookkeeping of the deferred stamp (sql/change.sql).
    stamps integer not null default 0,
    stamped_in timestamptz,
    served boolean,
    -- Who asked, for the audit trail.
    requested_by name not null default session_user,
    application_name text not null default pg_catalog.current_setting('application_name', true),
    constraint change_is_one_a_transaction unique (xid, begun_at)
);

comment on table session_reaper.change is
    'One row for each transaction that asked for sessions to end. A session is ended unless its login began after this row was committed.';
comment on column session_reaper.change.xid is 'The changing transaction''s top-level id.';
comment on column session_reaper.change.begun_at is 'now() of the changing transaction.';
comment on column session_reaper.change.at is
    'clock_timestamp() as late before the commit as the database allows; if set back, what it had shown before.';
comment on column session_reaper.change.newer_from is
    'Every transaction that was running at the change, or before it was visible, had ended when ids from this one on were given out. Null until known.';
comment on column session_reaper.change.stamps is 'How often the stamp was taken while the message in stamped_in was served.';
comment on column session_reaper.change.stamped_in is 'statement_timestamp() of the message during which the stamp was last taken.';
comment on column session_reaper.change.served is 'Whether a daemon served this database when the change was made.';
comment on column session_reaper.change.requested_by is 'session_user of the changing transaction.';
comment on column session_reaper.change.application_name is 'application_name of the changing transaction.';

create table session_reaper.horizon (
    id bigint generated always as identity primary key,
    captured_at timestamptz not null default pg_catalog.clock_timestamp(),
    server_started_at timestamptz not null default pg_catalog.pg_postmaster_start_time(),
    virtual_transactions text[] not null,
    -- Transaction ids wrap around in pg_stat_activity, so they are only compared by their age.
    seen_before xid8 not null default pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
    looked_again boolean not null default false,
    ended_at timestamptz,
    prepared_transactions text[],
    passed_at timestamptz
);

comment on table session_reaper.horizon is
    'The transactions that were running when revocations had become visible. Until they ended, one of them may still commit a session that no sweep could see (P1). Many revocations share one row.';
comment on column session_reaper.horizon.captured_at is 'When the running transactions were noted.';
comment on column session_reaper.horizon.server_started_at is
    'Start of the server that ran them: after a restart or a failover all of them have ended.';
comment on column session_reaper.horizon.virtual_transactions is 'Their virtual transaction ids, as pg_locks shows them.';
comment on column session_reaper.horizon.seen_before is
    'A snapshot without transactions from this one on may miss one of the revocations.';
comment on column session_reaper.horizon.looked_again is
    'The first ones have ended; since then virtual_transactions holds those that may continue with a snapshot of one of them.';
comment on column session_reaper.horizon.ended_at is 'When the last of them had ended.';
comment on column session_reaper.horizon.prepared_transactions is
    'Transaction ids that were prepared at ended_at: a captured transaction can turn into one of these.';
comment on column session_reaper.horizon.passed_at is 'When these had ended, too: a sweep that starts later sees all sessions.';

do $$
declare
    session_key_type text;
    user_key_type text;
begin
    -- A key compared under another collation could not use an index.
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
    select pg_catalog.format_type(a.atttypid, a.atttypmod)
            || case when a.attcollation <> t.typcollation
                then pg_catalog.format(' collate %I.%I', n.nspname, l.collname) else '' end
        into strict user_key_type
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        left join pg_catalog.pg_collation l on l.oid = a.attcollation
        left join pg_catalog.pg_namespace n on n.oid = l.collnamespace
        where a.attrelid = pg_catalog.current_setting('session_reaper.user_table')::pg_catalog.regclass
          and a.attname = pg_catalog.current_setting('session_reaper.user_key')
          and not a.attisdropped;

    -- No foreign keys to change and horizon: only our own functions write these numbers, and checking them would be a tenth
    -- of the cost of a bulk change of passwords.
    execute pg_catalog.format($table$
        create table session_reaper.revocation (
            id bigint generated always as identity primary key,
            change_id bigint not null,
            scope text not null,
            user_id %s,
            reason text not null,
            policy text not null default 'others',
            keep_digest text,
            place integer not null default 0,
            -- Progress.
            state text not null default 'requested',
            sessions_ended bigint not null default 0,
            tried_inline boolean not null default false,
            per_second integer,
            revoked_at timestamptz,
            changed_in xid8,
            changed_at timestamptz,
            remembered_at timestamptz,
            horizon_id bigint,
            settled_at timestamptz,
            waited_out boolean not null default false,
            -- What makes one stubborn revocation wait without holding up the others.
            attempts integer not null default 0,
            next_attempt_at timestamptz not null default '-infinity',
            last_error text,
            constraint revocation_scope_is_known check (scope in ('user', 'session', 'all')),
            constraint revocation_of_a_user_names_it check ((scope = 'user') = (user_id is not null) or scope = 'session'),
            constraint revocation_policy_is_known check (policy in ('all', 'others')),
            constraint revocation_pace_is_positive check (per_second > 0),
            constraint revocation_state_is_known check (state in ('requested', 'revoked', 'settled'))
        ) $table$, user_key_type);

    execute pg_catalog.format($table$
        create table session_reaper.revoked_key (
            revocation_id bigint not null references session_reaper.revocation (id) on delete cascade,
            session_key %s not null,
            from_data boolean not null default false,
            ended boolean not null default false,
            grace_over boolean not null default false,
            user_id %s,
            primary key (revocation_id, session_key)
        ) $table$, session_key_type, user_key_type);

    execute pg_catalog.format($table$
        create table session_reaper.walk (
            revocation_id bigint primary key references session_reaper.revocation (id) on delete cascade,
            session_key %s not null
        ) $table$, session_key_type);
end
$$;

create index revoked_key_by_key on session_reaper.revoked_key (session_key);
create index revoked_key_of_user on session_reaper.revoked_key (user_id) where user_id is not null;
create index revocation_open on session_reaper.revocation (state, place, id) where state <> 'settled';
-- A new link finds the one change that ends it through the first two, however many changes there were (sql/deciding.sql),
-- and unswept revocations through the third. Each query can use only one of them, even if its plan was made when the table
-- was still empty and all indexes looked alike.
create index revocation_by_time on session_reaper.revocation (user_id, scope, changed_at) where changed_at is not null;
create index revocation_by_transaction on session_reaper.revocation (user_id, scope, changed_in) where changed_in is not null;
create index revocation_unswept on session_reaper.revocation (user_id, scope) where changed_at is null;
create index revocation_of_deleted on session_reaper.revocation (user_id) where scope = 'session' and reason = 'deleted';
create index revocation_of_everybody on session_reaper.revocation (id) where scope = 'all' and state = 'requested';
create index revocation_of_change on session_reaper.revocation (change_id);
create index revocation_of_horizon on session_reaper.revocation (horizon_id) where horizon_id is not null;
create index horizon_open on session_reaper.horizon (id) where passed_at is null;
create index revocation_kept on session_reaper.revocation (keep_digest) where keep_digest is not null;
create index revocation_settled on session_reaper.revocation (settled_at) where state = 'settled';

-- Every row is updated a few times and then rests: vacuum early, so that the partial indexes stay small. Half of each page is
-- left free, so that counting what has ended finds room there and touches no index.
alter table session_reaper.revocation set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
alter table session_reaper.change set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
alter table session_reaper.horizon set (autovacuum_vacuum_scale_factor = 0.02);

comment on table session_reaper.revocation is
    'Outbox and audit trail: whose sessions are to end, why, how many have ended, and the state (requested, revoked, settled).';
comment on column session_reaper.revocation.change_id is 'The transaction that asked.';
comment on column session_reaper.revocation.scope is 'user: all sessions of user_id. session: the keys in revoked_key. all: every linked session.';
comment on column session_reaper.revocation.user_id is 'The user, in the type of the site''s own key. No foreign key: the trail outlives the user.';
comment on column session_reaper.revocation.reason is 'password, deactivated, deleted, requested, or what the caller gave.';
comment on column session_reaper.revocation.policy is
    'others: the session that the app asked to keep and those of the changing transaction stay. all: these end, too.';
comment on column session_reaper.revocation.keep_digest is
    'SHA-256 (hex) of the key to keep, or of that key''s SHA-256. Never the key (P7).';
comment on column session_reaper.revocation.place is
    'How many fifties of the same change came before, plus how often the same user did. Work goes in this order: a single change waits behind no mass of others.';
comment on column session_reaper.revocation.state is
    'requested: nothing done yet. revoked: swept once. settled: no older session exists, and none can appear (P1).';
comment on column session_reaper.revocation.sessions_ended is 'How many sessions have been deleted for it so far.';
comment on column session_reaper.revocation.tried_inline is 'The changing transaction itself has ended what it could (P4).';
comment on column session_reaper.revocation.per_second is
    'How many sessions per second a revocation of everybody may end, so that the following logins do not come all at once; null: no limit.';
comment on column session_reaper.revocation.revoked_at is 'When the first sweep was done.';
comment on column session_reaper.revocation.changed_in is
    'change.xid, set from the first sweep on: an index has to hold it beside the user.';
comment on column session_reaper.revocation.changed_at is
    'change.at, set from the first sweep on; infinity for a change without a stamp. Never earlier than change.at.';
comment on column session_reaper.revocation.remembered_at is
    'When the daemon last saw that a key which a request in flight may write back had been noted: the write-back grace counts from here. Infinity until then.';
comment on column session_reaper.revocation.horizon_id is 'The running transactions that it waits for.';
comment on column session_reaper.revocation.settled_at is 'When it was settled.';
comment on column session_reaper.revocation.waited_out is
    'True if the cap ended the wait: a transaction that was still open then may have committed an older session.';
comment on column session_reaper.revocation.attempts is 'Sweeps in a row that failed or had to skip a locked row.';
comment on column session_reaper.revocation.next_attempt_at is 'Not tried again before this time.';
comment on column session_reaper.revocation.last_error is 'SQLSTATE of the last failure; never its text, which can quote a key (P7).';

comment on table session_reaper.revoked_key is
    'Session keys that a revocation still has to end by name: the sessions of a deleted user, a single session, and those that an in-flight request may write back. Deleted once settled. A key is a bearer credential: no role but the daemon''s may read this.';
comment on column session_reaper.revoked_key.revocation_id is 'The revocation that ends it.';
comment on column session_reaper.revoked_key.session_key is 'The key, as in the session table.';

comment on column session_reaper.revoked_key.from_data is
    'Named because of a user in the session''s data, and only as long as these are not another user''s; false if the app had linked it, or named it.';
comment on column session_reaper.revoked_key.ended is
    'The session has been deleted once; it does not prolong the write-back grace again.';

comment on column session_reaper.revoked_key.grace_over is
    'The write-back grace has passed since: a session that appears under this key again is as old as its login.';

comment on column session_reaper.revoked_key.user_id is
    'Whose session it was when it was deleted, if not the user whom the revocation names.';

comment on table session_reaper.walk is
    'How far revocations of everybody have read the links, so that a restart continues there. Kept here, because a key that the daemon sent as a parameter could reach the server''s log (P7).';
comment on column session_reaper.walk.revocation_id is 'The revocation whose walk this is.';
comment on column session_reaper.walk.session_key is 'The last key that it has read.';

create table session_reaper.purge (
    only_row boolean primary key default true check (only_row),
    tick timestamptz not null default '-infinity',
    finished_at timestamptz,
    sessions bigint not null default 0,
    duration_ms bigint not null default 0,
    sessions_in_all bigint not null default 0
);

insert into session_reaper.purge default values;

comment on table session_reaper.purge is
    'The last scheduled purge: daemons claim a tick here, so that only one of them purges, and a missed tick runs once.';
comment on column session_reaper.purge.only_row is 'Keeps this table to one row.';
comment on column session_reaper.purge.tick is 'The scheduled time that was last claimed.';
comment on column session_reaper.purge.finished_at is 'When the last pass ended.';
comment on column session_reaper.purge.sessions is 'How many expired sessions the last pass deleted.';
comment on column session_reaper.purge.duration_ms is 'How long the last pass took, in milliseconds.';
comment on column session_reaper.purge.sessions_in_all is 'How many expired sessions all completed passes deleted.';

create table session_reaper.tally (
    id bigint generated always as identity primary key,
    reason text not null,
    gone_le double precision,
    settled_le double precision,
    revocations bigint not null,
    gone_s double precision not null,
    settled_s double precision not null,
    sessions_ended bigint not null
);

comment on table session_reaper.tally is
    'Totals of revocations that have been pruned: without them, totals would go down, which a monitor takes for a restart.';
comment on column session_reaper.tally.id is 'Distinguishes rows, which are to be added up.';
comment on column session_reaper.tally.reason is 'The reason, if it is one of ours.';
comment on column session_reaper.tally.gone_le is
    'The most that it took until the sessions were gone, in seconds; null if not known.';
comment on column session_reaper.tally.settled_le is 'The most that it took until it had settled, in seconds; null if not known.';
comment on column session_reaper.tally.revocations is 'The number of these revocations.';
comment on column session_reaper.tally.gone_s is 'The sum of the times until their sessions were gone.';
comment on column session_reaper.tally.settled_s is 'The sum of the times until they had settled.';
comment on column session_reaper.tally.sessions_ended is 'How many sessions were deleted for them.';

create table session_reaper.daemon (
    pid integer primary key,
    host text not null,
    version text not null,
    since timestamptz not null default pg_catalog.clock_timestamp()
);

comment on table session_reaper.daemon is
    'The daemons that serve this database, for people. Only the lock counts (is_served); a row whose process holds none was left behind.';
comment on column session_reaper.daemon.pid is 'The server''s process that the daemon listens on.';
comment on column session_reaper.daemon.host is 'The daemon''s machine, under the name that the machine reports.';
comment on column session_reaper.daemon.version is 'The daemon''s release.';
comment on column session_reaper.daemon.since is 'Since when it serves.';

create table session_reaper.trouble (
    daemon text not null,
    worker text not null,
    since timestamptz not null,
    attempts bigint not null,
    sqlstate text,
    last_at timestamptz not null default pg_catalog.clock_timestamp(),
    primary key (daemon, worker)
);

comment on table session_reaper.trouble is
    'What a worker of a daemon keeps failing at; status, which is another process, looks here. Deleted when it works again.';
comment on column session_reaper.trouble.daemon is 'A number that each daemon draws when it starts.';
comment on column session_reaper.trouble.worker is 'linker, revoker, settler, evictor, purger, verifier, inspector, clock, enforcer or canary.';
comment on column session_reaper.trouble.since is 'When it began to fail.';
comment on column session_reaper.trouble.attempts is 'How often it has failed in a row.';
comment on column session_reaper.trouble.sqlstate is
    'What the server last answered; null if it did not answer. Never the text, which can quote a key (P7).';
comment on column session_reaper.trouble.last_at is
    'When it last failed. A daemon that died leaves its rows behind; after minutes they no longer count.';

create table session_reaper.pause (
    only_row boolean primary key default true check (only_row),
    since timestamptz not null default pg_catalog.clock_timestamp(),
    paused_by name not null default session_user,
    complete boolean not null default false,
    noted boolean not null default false,
    readers name[] not null default '{}'
);

comment on table session_reaper.pause is
    'Has one row while the site migrates (session-reaper pause): changes are noted, and nothing is ended or purged until session-reaper resume deletes it.';
comment on column session_reaper.pause.only_row is 'Keeps this table to one row.';
comment on column session_reaper.pause.since is 'When the pause began.';
comment on column session_reaper.pause.paused_by is 'session_user of the role that began it.';
comment on column session_reaper.pause.complete is 'False while triggers, view and foreign keys are still being removed.';
comment on column session_reaper.pause.noted is
    'Until the pause, every write of a session was noted to be read.';
comment on column session_reaper.pause.readers is
    'Roles that may read live_session, to be granted that again: the view is gone during the pause.';

create table session_reaper.paused_request (
    id bigint generated always as identity primary key,
    change_id bigint not null,
    user_key text not null,
    reason text not null,
    policy text not null,
    keep_digest text
);

comment on table session_reaper.paused_request is
    'Revocations of a pause whose user key does not fit the type of revocation.user_id yet. Resume changes the type and moves them there.';
comment on column session_reaper.paused_request.id is 'Keeps them in order.';
comment on column session_reaper.paused_request.change_id is 'The transaction that asked.';
comment on column session_reaper.paused_request.user_key is 'The user''s key as text.';
comment on column session_reaper.paused_request.reason is 'As in revocation.';
comment on column session_reaper.paused_request.policy is 'As in revocation.';
comment on column session_reaper.paused_request.keep_digest is 'As in revocation.';

create table session_reaper.clock_step (
    had_shown timestamptz not null,
    noticed_at timestamptz not null default pg_catalog.clock_timestamp(),
    server_started_at timestamptz not null default pg_catalog.pg_postmaster_start_time(),
    virtual_transactions text[] not null
);

-- Under a publication FOR ALL TABLES nothing can be deleted from a table that has no identity.
alter table session_reaper.clock_step replica identity full;

comment on table session_reaper.clock_step is
    'Notes that the server''s clock was set back, until no transaction from before runs any more.';
comment on column session_reaper.clock_step.had_shown is 'What the clock would show if it had not been set back.';
comment on column session_reaper.clock_step.noticed_at is 'When a daemon noticed.';
comment on column session_reaper.clock_step.server_started_at is 'Start of the server that ran these transactions.';
comment on column session_reaper.clock_step.virtual_transactions is
    'The transactions that were running then, as pg_locks shows them: their time may be later than that of a change made since.';

create table session_reaper.behaviour (
    name text primary key,
    digest text not null,
    applied_at timestamptz not null default pg_catalog.now()
);

comment on table session_reaper.behaviour is
    'What is in force: the digest of each file of sql/, so that an unchanged one is left alone; the site and the expiry of the installation; the role of the daemon. The row "purge" is locked by the daemon that purges.';
comment on column session_reaper.behaviour.name is 'The file, or the trigger on a table of the site.';
comment on column session_reaper.behaviour.digest is 'SHA-256 of the text as applied, with the site''s names in it.';
comment on column session_reaper.behaviour.applied_at is 'When it was applied.';

create table session_reaper.origin (
    only_row boolean primary key default true check (only_row),
    system_identifier bigint not null
);

insert into session_reaper.origin (system_identifier)
select s.system_identifier from pg_catalog.pg_control_system() s;

comment on table session_reaper.origin is
    'The server that the transaction ids and snapshots in this schema are from. In a database restored from a dump of another server they mean nothing.';
comment on column session_reaper.origin.only_row is 'Keeps this table to one row.';
comment on column session_reaper.origin.system_identifier is
    'As pg_control_system() reports it; 0 if rows have arrived by replication since.';
