-- Sessions that are gone from their table and may still stand in a cache beside it (P5). Typed after the links, whose
-- columns say how old the login was.
create table session_reaper.pending_eviction (
    id bigint generated always as identity primary key,
    like session_reaper.user_session,
    evicted_at timestamptz,
    is_of_many boolean not null default false
);

alter table session_reaper.pending_eviction
    drop column credential_version,
    drop column from_data,
    drop column linked_at,
    -- Nobody may be logged in to it, or nobody have read it yet.
    alter column user_id drop not null,
    alter column xid drop not null,
    alter column begun_at drop not null,
    alter column snapshot drop not null;

create index pending_eviction_of_user on session_reaper.pending_eviction (user_id);
create index pending_eviction_of_anybody on session_reaper.pending_eviction (begun_at) where user_id is null and begun_at is not null;
create index pending_eviction_by_key on session_reaper.pending_eviction (session_key);
create index pending_eviction_new on session_reaper.pending_eviction (is_of_many, id) where evicted_at is null;
create index pending_eviction_again on session_reaper.pending_eviction (evicted_at) where evicted_at is not null;

-- Every row is gone again within a grace.
alter table session_reaper.pending_eviction set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

comment on table session_reaper.pending_eviction is
    'Sessions that have been deleted and that the cache has not confirmed yet to have forgotten, twice. A key is a bearer credential: no role but the daemon''s may read this.';
comment on column session_reaper.pending_eviction.id is 'Keeps them in order.';
comment on column session_reaper.pending_eviction.session_key is 'The session.';
comment on column session_reaper.pending_eviction.user_id is 'Who was logged in to it, as far as that was known.';
comment on column session_reaper.pending_eviction.xid is 'As in user_session; of a session that was deleted before it was linked, as in pending_link.';
comment on column session_reaper.pending_eviction.begun_at is 'As in user_session.';
comment on column session_reaper.pending_eviction.snapshot is 'As in user_session.';
comment on column session_reaper.pending_eviction.evicted_at is
    'When the cache confirmed for the first time. A request in flight may have filled it again since, so it is evicted once more after cache.refill_grace_s.';
comment on column session_reaper.pending_eviction.is_of_many is
    'It was ended with those of many users at once, so the others go first.';

create table session_reaper.eviction (
    only_row boolean primary key default true check (only_row),
    sessions bigint not null default 0,
    confirmed_at timestamptz,
    failing_since timestamptz,
    attempts bigint not null default 0,
    failures bigint not null default 0,
    last_error text
);

insert into session_reaper.eviction default values;

comment on table session_reaper.eviction is 'How the cache answers.';
comment on column session_reaper.eviction.only_row is 'Keeps this table to one row.';
comment on column session_reaper.eviction.sessions is 'How many sessions it has confirmed to have forgotten for good.';
comment on column session_reaper.eviction.confirmed_at is 'When it confirmed last.';
comment on column session_reaper.eviction.failing_since is 'When it began to fail; null if it does not.';
comment on column session_reaper.eviction.attempts is 'How often it has failed in a row.';
comment on column session_reaper.eviction.failures is 'How often it has failed in all.';
comment on column session_reaper.eviction.last_error is 'What it failed with, without keys and passwords (P7).';
