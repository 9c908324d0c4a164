-- What an app may show its staff about ended sessions, and how it ends one session by its digest. Nothing here gives a key
-- away, nor the digest of a key that was to be kept (P7).

create or replace view session_reaper.change_trail
with (security_barrier = true)
as
select c.id, c.at, c.requested_by, c.application_name, c.served
from session_reaper.change c;

comment on view session_reaper.change_trail is 'The transactions that asked for sessions to end: when, and on whose behalf.';
comment on column session_reaper.change_trail.id is 'The change.';
comment on column session_reaper.change_trail.at is 'When it was about to be committed.';
comment on column session_reaper.change_trail.requested_by is 'The database role that made it.';
comment on column session_reaper.change_trail.application_name is 'application_name of its connection.';
comment on column session_reaper.change_trail.served is 'Whether a daemon served the database then.';

create or replace view session_reaper.revocation_trail
with (security_barrier = true)
as
select r.id, r.change_id, r.scope, r.user_id, r.reason, r.policy, r.state, r.sessions_ended, r.revoked_at, r.settled_at, r.waited_out
from session_reaper.revocation r;

comment on view session_reaper.revocation_trail is 'Whose sessions were to end, why, how many have, and how far it is.';
comment on column session_reaper.revocation_trail.id is 'The revocation.';
comment on column session_reaper.revocation_trail.change_id is 'The change that asked for it, in change_trail.';
comment on column session_reaper.revocation_trail.scope is 'user: all sessions of user_id. session: one session, or those of a deleted user. all: everybody''s.';
comment on column session_reaper.revocation_trail.user_id is 'The user; null for everybody, and for a session that was linked to nobody.';
comment on column session_reaper.revocation_trail.reason is 'password, deactivated, deleted, requested, or what the caller gave.';
comment on column session_reaper.revocation_trail.policy is 'others: a session that the app asked to keep stays. all: none does.';
comment on column session_reaper.revocation_trail.state is 'requested, revoked or settled.';
comment on column session_reaper.revocation_trail.sessions_ended is 'How many sessions have been deleted for it so far.';
comment on column session_reaper.revocation_trail.revoked_at is 'When the first sweep was done.';
comment on column session_reaper.revocation_trail.settled_at is 'When it was settled.';
comment on column session_reaper.revocation_trail.waited_out is 'True if the wait for open transactions was ended by the cap.';

-- A page that lists a user's sessions by live_session.digest ends one of them by it, and never holds a key. The page passes
-- the user, too, so that no user can end another user's session by a digest that he has seen, and so that few keys are
-- hashed.
create or replace function session_reaper.revoke_session_of(
    user_id :user_key_type, digest text, reason text default 'requested')
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    wanted record;
begin
    select l.session_key into wanted
    from session_reaper.user_session l
    where l.user_id = revoke_session_of.user_id
      and pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(:link_key_bytes), 'hex'), 12) = revoke_session_of.digest
    limit 1;
    if not found then
        return null;
    end if;
    return session_reaper.revoke_session(wanted.session_key, revoke_session_of.reason);
end
$$;

comment on function session_reaper.revoke_session_of(:user_key_type, text, text) is
    'Ends the session of this user that live_session shows under this digest. Returns null if there is none.';
