-- A change of a password, made here or arrived by replication.

-- What a changed password asks for. Changes that arrive have a separate function, because a subtransaction for each user
-- would slow down a bulk change.
create or replace function session_reaper.request_change(for_user :user_key_type, why text, under_policy text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if session_reaper.is_replica() then
        perform session_reaper.request_arrived(for_user, why, under_policy);
    else
        perform session_reaper.request('user', for_user, why, under_policy,
            pg_catalog.current_setting('session_reaper.keep_session', true));
    end if;
end
$$;

comment on function session_reaper.request_change(:user_key_type, text, text) is
    'request() for a user whose watched column has changed, here or where it is replicated from.';

create or replace function session_reaper.request_arrived(for_user :user_key_type, why text, under_policy text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not session_reaper.arrives_by_itself() then
        perform session_reaper.request('user', for_user, why, under_policy, null);
        perform session_reaper.announce();
    end if;
exception when others or assert_failure then
    perform session_reaper.miss('change', sqlstate);
end
$$;

comment on function session_reaper.request_arrived(:user_key_type, text, text) is
    'request() for a change that arrives by replication. Never fails.';
