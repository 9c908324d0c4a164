-- For any app, and for the daemon's command line: asking for sessions to end without changing a password. Each returns the
-- revocation's number. The sessions end when the transaction has committed.

create or replace function session_reaper.revoke_user(
    user_id :user_key_type, reason text default 'requested', keep_session text default null)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if user_id is null then
        return null;
    end if;
    -- A transaction that changes this user's key has to see the revocation, which names the old key (P1).
    perform session_reaper.lock_user(revoke_user.user_id);
    return session_reaper.request('user', user_id, reason, 'others', keep_session);
end
$$;

comment on function session_reaper.revoke_user(:user_key_type, text, text) is
    'Ends the user''s sessions, but for keep_session (a session key or its SHA-256 in hex).';

create or replace function session_reaper.revoke_all(reason text default 'requested', keep_session text default null)
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    -- This revocation includes the users of these missed changes.
    delete from session_reaper.missed m where m.what = 'change';
    select session_reaper.request('all', null, reason, 'others', keep_session)
$$;

comment on function session_reaper.revoke_all(text, text) is
    'Ends every session that is linked to a user: the switch to throw after a breach.';

-- Ends a session by its key, linked or not, whenever it was opened.
create or replace function session_reaper.revoke_session(
    session_key :session_key_type, reason text default 'requested')
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    owner :user_key_type;
    revocation bigint;
begin
    -- Wait for a key that is just being changed: the revocation would name the old one.
    begin
        perform from :"session_schema".:"session_table" s
            where s.:"session_key" = revoke_session.session_key for key share;
        if not found then
            return null;
        end if;
    exception when others or assert_failure then
        -- Whether the session exists cannot be found out, for instance because of a missing right. The request is noted all
        -- the same.
        null;
    end;
    select l.user_id into owner from session_reaper.user_session l where l.session_key = revoke_session.session_key;
    -- is_deletion() uses this reason to recognise a deleted user, all of whose older sessions end.
    revocation := session_reaper.request(
        'session', owner, case revoke_session.reason when 'deleted' then 'requested' else revoke_session.reason end, 'all', null);
    insert into session_reaper.revoked_key (revocation_id, session_key) values (revocation, revoke_session.session_key);
    return revocation;
end
$$;

comment on function session_reaper.revoke_session(:session_key_type, text) is
    'Ends one session. Returns null if there is none with this key. Pass the key as a bind parameter: statement logs hold literals.';

-- For apps that hold connections open: a listener checks whether its session still exists. Sent when the sessions are gone,
-- and again when the revocation has settled, because a session may have come late, or been answered by a cache. Left out
-- when the queue is nearly full, because it must not fail the daemon's commit. Contains no key (P7). A payload of 8,000
-- bytes is refused, and escaping can turn one byte into six. So only the beginning of a reason is sent, and a user with so
-- long a key is not named: then every listener checks.
create or replace function session_reaper.tell_revoked(revocations bigint[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
    perform pg_catalog.pg_notify(
        'session_revoked',
        pg_catalog.json_build_object(
            'revocation', r.id,
            'user', case when pg_catalog.octet_length(pg_catalog.to_json(r.user_id::text)::text) < 4000 then r.user_id::text end,
            'scope', r.scope,
            'reason', pg_catalog.left(r.reason, 200),
            'state', r.state)::text)
    from (
        select s.* from session_reaper.revocation s where s.id = any (revocations) order by s.id
    ) r
    where pg_catalog.pg_notification_queue_usage() < 0.5;
end
$$;

comment on function session_reaper.tell_revoked(bigint[]) is
    'NOTIFY session_revoked for each of these revocations: its number, user, scope, reason and state, as JSON.';
