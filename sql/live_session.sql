-- What may be shown of a session: everything but its key.
create or replace view session_reaper.live_session
with (security_barrier = true)
as
select
    l.user_id,
    pg_catalog.left(
        pg_catalog.encode(pg_catalog.sha256(:link_key_bytes), 'hex'), 12) as digest,
    nullif(l.begun_at, '-infinity') as opened_at,
    :expires_at as expires_at
from session_reaper.user_session l
join :"session_schema".:"session_table" s on s.:"session_key" = l.session_key
where coalesce((:expires_at) > pg_catalog.now(), true);

comment on view session_reaper.live_session is 'Linked sessions that have not expired, without their keys.';
comment on column session_reaper.live_session.user_id is 'The user who is logged in.';
comment on column session_reaper.live_session.digest is 'First 12 hex digits of the SHA-256 of the session key: tells sessions apart without giving one away.';
comment on column session_reaper.live_session.opened_at is
    'When the login''s transaction began, or the earliest moment at which it may have begun; null for a session from before the installation.';
comment on column session_reaper.live_session.expires_at is 'When it expires unless it is used; null if never.';
