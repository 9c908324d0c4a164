-- Keeping our failures out of the app's statements (P8). Each of our triggers on the site's tables runs inside a statement
-- of the app. Whatever goes wrong there is caught and made known, and the statement succeeds. The exception is a failure
-- that would lose a request to end sessions: that has to fail the statement, because the request would never be made again
-- (P3).
--
-- "when others" leaves out two errors. assert_failure only comes from a trigger of the site that uses ASSERT, so it is
-- caught like any other error. query_canceled is left alone nearly everywhere: a person who cancels a statement wants it to
-- end.

-- A cancel and statement_timeout have the same SQLSTATE, and their texts depend on lc_messages. So the time decides. A timer may
-- have begun a little before statement_timestamp(), with the message that brought the statement's text.
create or replace function session_reaper.is_out_of_time()
returns boolean
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select s.setting::bigint > 0
        and pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp() >= 0.9 * s.setting::bigint * interval '1 millisecond'
    from pg_catalog.pg_settings s
    where s.name = 'statement_timeout'
$$;

comment on function session_reaper.is_out_of_time() is
    'Whether statement_timeout has canceled the running statement.';

-- One row is enough until the daemon has acted on it, and keeps this table small however many statements fail. A
-- transaction that finds a row still holds its lock on the table until the commit, and read_what_was_missed() waits for
-- that. A transaction that keeps its first snapshot may see a row that the daemon has acted on since, so it adds its own
-- (P1).
create or replace function session_reaper.miss(what text, state text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into session_reaper.missed (what, sqlstate)
    select miss.what, miss.state
    where pg_catalog.current_setting('transaction_isolation') <> 'read committed'
       or not exists (select from session_reaper.missed m where m.what = miss.what);
exception when others or assert_failure then
    raise warning 'session-reaper could not note a % of a session (SQLSTATE %), nor that it could not', what, state
        using hint = 'Run session-reaper doctor, and session-reaper link once that finds nothing.';
end
$$;

comment on function session_reaper.miss(text, text) is
    'Notes that a write or an eviction of a session, or a change, of the app could not be noted, and the SQLSTATE of the failure. Never fails.';

-- The linker calls this whenever it looks for a page. The lock waits for the transactions that may have missed something,
-- so that the backfill that begins now sees what they wrote.
create or replace function session_reaper.read_what_was_missed()
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
begin
    if not exists (select from session_reaper.missed m where m.what = 'write') then
        return false;
    end if;
    lock table session_reaper.missed in exclusive mode;
    delete from session_reaper.missed m where m.what = 'write';
    perform session_reaper.backfill_again('missed');
    return true;
exception when lock_not_available then
    return false;
end
$$;

comment on function session_reaper.read_what_was_missed() is
    'Makes the daemon read every session again if a write of one could not be noted.';

-- Our foreign key still refers to a column that was renamed. The row comes as JSON, because the column's name is not known
-- here.
create or replace function session_reaper.key_in(of_row jsonb, reference name)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select of_row ->> a.attname
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = c.confkey[1]
    where c.conrelid = 'session_reaper.user_session'::regclass and c.conname = reference
$$;

comment on function session_reaper.key_in(jsonb, name) is
    'The key in a row of a site''s table whose column has another name now. For the functions of this schema only.';

create or replace function session_reaper.session_key_in(of_row jsonb)
returns :session_key_base_type
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select cast(session_reaper.key_in(of_row, 'user_session_of_session') as :session_key_base_type)
$$;

comment on function session_reaper.session_key_in(jsonb) is
    'The key of a session whose column has another name now. For the functions of this schema only.';

create or replace function session_reaper.user_key_in(of_row jsonb)
returns :user_key_type
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select cast(session_reaper.key_in(of_row, 'user_session_of_user') as :user_key_type)
$$;

comment on function session_reaper.user_key_in(jsonb) is
    'The key of a user whose column has another name now. For the functions of this schema only.';
