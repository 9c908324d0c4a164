-- Sessions that are gone from their table and may still be in a cache beside it (P5). The types are those of the links,
-- whose columns tell how old the login was.
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
    -- The session may have no user, or may not have been read yet.
    alter column user_id drop not null,
    alter column xid drop not null,
    alter column begun_at drop not null,
    alter column snapshot drop not null;

create index pending_eviction_of_user on session_reaper.pending_eviction (user_id);
create index pending_eviction_of_anybody on session_reaper.pending_eviction (begun_at) where user_id is null and begun_at is not null;
create index pending_eviction_by_key on session_reaper.pending_eviction (session_key);
create index pending_eviction_new on session_reaper.pending_eviction (is_of_many, id) where evicted_at is null;
create index pending_eviction_again on session_reaper.pending_eviction (evicted_at) where evicted_at is not null;

-- Every row is deleted again within the grace.
alter table session_reaper.pending_eviction set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

comment on table session_reaper.pending_eviction is
    'Deleted sessions of which the cache has not yet confirmed twice that it has forgotten them. A key is a bearer credential: no role but the daemon''s may read this.';
comment on column session_reaper.pending_eviction.id is 'Keeps them in order.';
comment on column session_reaper.pending_eviction.session_key is 'The session.';
comment on column session_reaper.pending_eviction.user_id is 'The user who was logged in to it, if known.';
comment on column session_reaper.pending_eviction.xid is
    'As in user_session; for a session that was deleted before it was linked, as in pending_link.';
comment on column session_reaper.pending_eviction.begun_at is 'As in user_session.';
comment on column session_reaper.pending_eviction.snapshot is 'As in user_session.';
comment on column session_reaper.pending_eviction.evicted_at is
    'When the cache confirmed for the first time. A request in flight may have filled it again since, so it is evicted once more after cache.refill_grace_s.';
comment on column session_reaper.pending_eviction.is_of_many is
    'It was ended together with those of many users, so others go first.';

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
comment on column session_reaper.eviction.failing_since is 'When it began to fail; null if it works.';
comment on column session_reaper.eviction.attempts is 'How often it has failed in a row.';
comment on column session_reaper.eviction.failures is 'How often it has failed in all.';
comment on column session_reaper.eviction.last_error is 'The last failure, without keys and passwords (P7).';
