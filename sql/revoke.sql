-- For any app, and for the daemon's own command line: asking for sessions to end without changing a password.
-- Each returns the revocation's number. The sessions end when the transaction has committed.

create or replace function session_reaper.revoke_user(
    user_id :user_key_type, reason text default 'requested', keep_session text default null)
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select session_reaper.request('user', user_id, reason, 'others', keep_session) where user_id is not null
$$;

comment on function session_reaper.revoke_user(:user_key_type, text, text) is
    'Ends the user''s sessions, but for keep_session (a session key or its SHA-256 in hex).';

create or replace function session_reaper.revoke_all(reason text default 'requested', keep_session text default null)
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
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
declare
    owner :user_key_type;
    revocation bigint;
begin
    if not exists (
        select from :"session_schema".:"session_table" s where s.:"session_key" = revoke_session.session_key)
    then
        return null;
    end if;
    select l.user_id into owner from session_reaper.user_session l where l.session_key = revoke_session.session_key;
    revocation := session_reaper.request('session', owner, revoke_session.reason, 'all', null);
    insert into session_reaper.revoked_key (revocation_id, session_key) values (revocation, revoke_session.session_key);
    return revocation;
end
$$;

comment on function session_reaper.revoke_session(:session_key_type, text) is
    'Ends one session. Returns null if there is none with this key. Pass the key as a bind parameter: statement logs hold literals.';

-- For text that came by hand. A cast that fails inside a statement is written to the server's log together
-- with the text, which may be anything; caught here, it is not (P7, P8).
create or replace function session_reaper.find_user(text_id text)
returns :user_key_type
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    found_id :user_key_type;
begin
    select u.:"user_key" into found_id
    from :"user_schema".:"user_table" u
    where u.:"user_key" = cast(text_id as :user_key_type);
    return found_id;
exception
    when data_exception then
        return null;
end
$$;

comment on function session_reaper.find_user(text) is
    'The user whose key reads like this; null if it is no key of that type, or nobody''s.';
