-- The canary: our own session, opened and revoked now and then, to see whether one would end (sql/canary.sql).

create table session_reaper.canary (
    only_row boolean primary key default true check (only_row),
    began_at timestamptz,
    finished_at timestamptz,
    user_key text,
    own_session text,
    revocation_id bigint,
    gone_at timestamptz,
    succeeded_at timestamptz,
    gone_s double precision,
    settled_s double precision,
    failures bigint not null default 0,
    failed_at timestamptz,
    failed_stage text,
    failed_sqlstate text,
    constraint canary_stage_is_known
        check (failed_stage in ('other_user', 'no_user', 'in_use', 'session', 'trigger', 'gone', 'settled'))
);

insert into session_reaper.canary default values;

comment on table session_reaper.canary is
    'The last run of the canary, and its result. Daemons take turns by this row, so that only one of them has a run at a time.';
comment on column session_reaper.canary.only_row is 'Keeps this table to one row.';
comment on column session_reaper.canary.began_at is 'When the last run began; null if there has been none since it was switched on.';
comment on column session_reaper.canary.finished_at is 'When it was over; null while it is running, or if its daemon died.';
comment on column session_reaper.canary.user_key is 'The user whose session it is, as text; null if no user is named.';
comment on column session_reaper.canary.own_session is
    'The session of the run, as text, until it is gone: it serves to delete what a dead daemon left. The key is given to no user, and no app has written the session.';
comment on column session_reaper.canary.revocation_id is 'The revocation of the run.';
comment on column session_reaper.canary.gone_at is 'When the session was first seen to be gone.';
comment on column session_reaper.canary.succeeded_at is 'When a run last succeeded.';
comment on column session_reaper.canary.gone_s is 'How many seconds after the change the session of that run was gone.';
comment on column session_reaper.canary.settled_s is 'How many seconds after the change that run had settled.';
comment on column session_reaper.canary.failures is 'How many runs have failed.';
comment on column session_reaper.canary.failed_at is 'When a run last failed.';
comment on column session_reaper.canary.failed_stage is
    'What the last run failed at: other_user, no_user, in_use, session, trigger, gone or settled (docs/monitoring.md); null if it has not.';
comment on column session_reaper.canary.failed_sqlstate is 'What the server answered then; never its text, which can quote a key (P7).';
