-- A user in the site's own table.

-- For text that was entered by hand. A cast that fails inside a statement is written to the server's log together with the
-- text, which may be anything; if it is caught here, it is not (P7, P8).
create or replace function session_reaper.find_user(text_id text)
returns :user_key_type
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    found_id :user_key_type;
begin
    select u.:"user_key" into found_id
    from :"user_schema".:"user_table" u
    where u.:"user_key" = cast(text_id as :user_key_type);
    return found_id;
exception
    -- A domain has its own checks.
    when data_exception or check_violation then
        return null;
end
$$;

comment on function session_reaper.find_user(text) is
    'The user with this key; null if the text is no key of that type, or no user has it.';

-- Text that was noted while the site migrated need not be a valid key any more.
create or replace function session_reaper.user_key_of(given text)
returns :user_key_type
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    -- Includes the length: a text that is too long is no key either.
    key session_reaper.revocation.user_id%type;
begin
    key := given;
    return key;
exception
    when data_exception or check_violation then
        return null;
end
$$;

comment on function session_reaper.user_key_of(text) is
    'A user''s key that was kept as text, whether or not there is such a user; null if it is no key. For the functions of this schema only.';

create or replace function session_reaper.lock_user(wanted :user_key_type)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
    perform from :"user_schema".:"user_table" u where u.:"user_key" = wanted for key share;
    return found;
exception when others or assert_failure then
    return true;
end
$$;

comment on function session_reaper.lock_user(:user_key_type) is
    'Keeps a user from being deleted or getting another key; false if the user is gone. For the functions of this schema only.';
