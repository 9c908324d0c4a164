-- The canary: a session of ours that is opened and revoked now and then, to see whether one would end (sql/canary.sql).

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
    'The last run of the canary, and what came of it. Daemons take turns by this row, so that one of them at a time has a run.';
comment on column session_reaper.canary.only_row is 'Keeps this table to one row.';
comment on column session_reaper.canary.began_at is 'When the last run began; null if there has been none since it was switched on.';
comment on column session_reaper.canary.finished_at is 'When it was over; null while it goes on, or if its daemon died.';
comment on column session_reaper.canary.user_key is 'The user whose session it is, as text; null if no user is named.';
comment on column session_reaper.canary.own_session is
    'The session of the run, as text, until it is gone: what a daemon that died has left is deleted by it. Nobody is given this key, and no app has written the session.';
comment on column session_reaper.canary.revocation_id is 'The revocation of the run.';
comment on column session_reaper.canary.gone_at is 'When the session was first seen to be gone.';
comment on column session_reaper.canary.succeeded_at is 'When a run last succeeded.';
comment on column session_reaper.canary.gone_s is 'How long after the change its session was gone then.';
comment on column session_reaper.canary.settled_s is 'How long after the change it had settled then.';
comment on column session_reaper.canary.failures is 'How many runs have failed.';
comment on column session_reaper.canary.failed_at is 'When one last failed.';
comment on column session_reaper.canary.failed_stage is
    'What the last run failed at: other_user, no_user, in_use, session, trigger, gone or settled (docs/monitoring.md); null if it has not.';
comment on column session_reaper.canary.failed_sqlstate is 'What the server answered then; never its text, which can quote a key (P7).';
