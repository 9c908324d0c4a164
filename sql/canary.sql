-- The canary: our own revocation now and then, on the same path as all others, to see whether one would work now. Where the
-- settings name a user, the canary opens a session of that user; otherwise it names no session, and exercises only the
-- outbox and the daemon.
--
-- The user is one of the site's, because triggers, links, sweeps and evictions all name the site's tables. With separate
-- tables, the canary would need a second set of these functions, and would only show whether that set works. Nothing here
-- raises: a failure is noted by its SQLSTATE, because otherwise the statement would reach the server's log (P7).

-- A value for a column that the session cannot be without. The statement itself draws random values, so that its text
-- contains no key (P7), and the key is as hard to guess as the site's own.
create or replace function session_reaper.canary_filler(of_column pg_attribute)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when t.typcategory = 'S' then
            pg_catalog.format('cast(%s as %s)', d.word, pg_catalog.format_type(of_column.atttypid, of_column.atttypmod))
        when t.typname = 'uuid' then 'pg_catalog.gen_random_uuid()'
        when t.typname = 'bytea' then pg_catalog.format('pg_catalog.decode(%s, %L)', d.word, 'hex')
        -- A numeric key can only come from its sequence.
        when of_column.attname = :session_key_name then null
        when t.typcategory = 'N' then '0'
        when t.typcategory = 'B' then 'false'
        when t.typcategory = 'D' then 'pg_catalog.now()'
        when t.typcategory = 'I' then pg_catalog.quote_literal('127.0.0.1')
        when t.typcategory = 'A' or t.typname in ('json', 'jsonb') then pg_catalog.quote_literal('{}')
        when t.typcategory = 'E' then (
            select pg_catalog.quote_literal(e.enumlabel) from pg_catalog.pg_enum e
            where e.enumtypid = t.oid order by e.enumsortorder limit 1)
    end
    from pg_catalog.pg_type t,
        (values ('pg_catalog.replace(pg_catalog.gen_random_uuid()::text || pg_catalog.gen_random_uuid()::text, ''-'', '''')')) d (word)
    where t.oid = of_column.atttypid
$$;

comment on function session_reaper.canary_filler(pg_attribute) is
    'A value for a column of the session table about which nothing is known, as SQL; null if there is none. For canary_value() only.';

-- Its data say that no user is logged in, so that the session is useless to anyone who finds its key. A store that has a
-- column for the user gets the user there, because that is how it links.
create or replace function session_reaper.canary_value(of_column pg_attribute, of_user text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when of_column.attname = :user_column_name then pg_catalog.quote_literal(of_user)
        when of_column.attname = :data_column_name and :blank_data is not null then pg_catalog.quote_literal(:blank_data)
        when of_column.attname = :expires_name then :expires_soon
        when of_column.attname = :session_key_name then session_reaper.canary_filler(of_column)
        when of_column.attnotnull and not of_column.atthasdef and of_column.attidentity = ''
            then session_reaper.canary_filler(of_column)
    end
$$;

comment on function session_reaper.canary_value(pg_attribute, text) is
    'What a column of the canary''s session holds, as SQL; null for its default. For canary_session() only.';

create or replace function session_reaper.canary_session(of_user text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    names text;
    contents text;
    opened text;
begin
    select pg_catalog.string_agg(pg_catalog.quote_ident(v.name), ', '), pg_catalog.string_agg(v.content, ', ')
        into names, contents
        from (
            select a.attname as name, session_reaper.canary_value(a, of_user) as content
            from pg_catalog.pg_attribute a
            where a.attrelid = cast(:session_relation as regclass) and a.attnum > 0 and not a.attisdropped
            offset 0
        ) v
        where v.content is not null;
    execute pg_catalog.format(
        'insert into %s (%s) values (%s) returning %I::text', cast(:session_relation as regclass), names, contents, :session_key_name)
        into opened;
    return opened;
end
$$;

comment on function session_reaper.canary_session(text) is
    'Opens a session for the canary in the site''s table, with no user logged in, expiring within the hour; returns its key. For canary_open() only.';

create or replace function session_reaper.canary_is_there()
returns boolean
language sql
volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
    select exists (
        select from :"session_schema".:"session_table" s
        where s.:"session_key" = (select cast(c.own_session as :session_key_base_type) from session_reaper.canary c))
$$;

comment on function session_reaper.canary_is_there() is 'Whether the session of the last run still exists. For the functions of this schema only.';

-- If another transaction holds the session, the next run, its revocation or the purge deletes it later.
create or replace function session_reaper.canary_remove()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
    delete from :"session_schema".:"session_table" s
    where s.:"session_key" = any (array(
        select k.:"session_key" from :"session_schema".:"session_table" k
        where k.:"session_key" = (select cast(c.own_session as :session_key_base_type) from session_reaper.canary c)
        for update skip locked));
exception when others or assert_failure then
    null;
end
$$;

comment on function session_reaper.canary_remove() is
    'Deletes what is left of the last run, unless it is locked. For the functions of this schema only.';

create or replace function session_reaper.canary_failed(stage text, state text default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.canary_remove();
    update session_reaper.canary c
    set finished_at = pg_catalog.clock_timestamp(), failures = c.failures + 1,
        failed_at = pg_catalog.clock_timestamp(), failed_stage = stage, failed_sqlstate = state;
end
$$;

comment on function session_reaper.canary_failed(text, text) is
    'Notes at which stage a run has failed, and deletes its session. For the functions of this schema only.';

-- Only the canary may be logged in as this user; otherwise it would end another session (P2).
create or replace function session_reaper.canary_open(of_user text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    found_id constant :user_key_type := session_reaper.find_user(of_user);
    opened text;
begin
    if found_id is null then
        perform session_reaper.canary_failed('no_user');
        return false;
    end if;
    if exists (select from session_reaper.user_session l where l.user_id = found_id) then
        perform session_reaper.canary_failed('in_use');
        return false;
    end if;
    opened := session_reaper.canary_session(found_id::text);
    if not session_reaper.link_session(cast(opened as :session_key_base_type), found_id) then
        raise exception using errcode = 'foreign_key_violation';
    end if;
    update session_reaper.canary c set own_session = opened;
    return true;
exception when others or assert_failure then
    perform session_reaper.canary_failed('session', sqlstate);
    return false;
end
$$;

comment on function session_reaper.canary_open(text) is
    'Opens the session of a run and links it; notes a failure and returns false. For canary_begin() only.';

-- A clock that was set back must not keep it waiting. An unfinished run belongs to its daemon until that daemon has given
-- it up.
create or replace function session_reaper.canary_rest(every_s double precision, patience_s double precision)
returns double precision
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(pg_catalog.max(case when w.passed_s between 0 and w.every_s then w.every_s - w.passed_s end), 0)
    from (
        select pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - c.began_at) as passed_s,
            case when c.finished_at is null then greatest(canary_rest.every_s, patience_s + 5) else canary_rest.every_s end as every_s
        from session_reaper.canary c
    ) w
$$;

comment on function session_reaper.canary_rest(double precision, double precision) is
    'The number of seconds until the next run is due; 0 if it is due. For canary_begin() only.';

-- The daemon takes three steps, each a transaction: the session has to exist before the change. At most one canary
-- revocation is open, however long the work stands still; a run that finds it unfinished has failed again (P8).
create or replace function session_reaper.canary_begin(
    of_user text, every_s double precision, patience_s double precision, out outcome text, out rest_s double precision)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    unfinished text;
begin
    outcome := 'later';
    rest_s := session_reaper.canary_rest(every_s, patience_s);
    if rest_s > 0 or session_reaper.is_paused() then
        return;
    end if;
    perform from session_reaper.canary for update skip locked;
    -- Checked again: another daemon may have begun meanwhile.
    if not found or session_reaper.canary_rest(every_s, patience_s) > 0 then
        return;
    end if;
    outcome := 'failed';
    update session_reaper.canary c set began_at = pg_catalog.clock_timestamp(), finished_at = null;
    -- The user is fixed at installation, so that a role that may call this cannot open a session for any other user.
    if of_user is distinct from :canary_user then
        perform session_reaper.canary_failed('other_user');
        return;
    end if;
    select r.state into unfinished
        from session_reaper.canary c
        join session_reaper.revocation r on r.id = c.revocation_id
        where r.state <> 'settled';
    if found and unfinished <> 'requested' and not session_reaper.canary_is_there() then
        perform session_reaper.canary_failed('settled');
        return;
    end if;
    perform session_reaper.canary_remove();
    if unfinished is not null or session_reaper.canary_is_there() then
        perform session_reaper.canary_failed('gone');
        return;
    end if;
    update session_reaper.canary c set user_key = of_user, own_session = null, revocation_id = null, gone_at = null;
    if of_user is null or session_reaper.canary_open(of_user) then
        outcome := 'begun';
    end if;
end
$$;

comment on function session_reaper.canary_begin(text, double precision, double precision) is
    'Begins a run of the canary, if one is due and no other daemon has one: begun, failed, or later; then also the seconds until it is due, if known.';

-- Makes the trigger on the users' passwords fire, and rolls back what it did: no other transaction ever sees another
-- password, and what the site's own triggers do is undone, too. The function that the trigger calls makes the request
-- itself.
create or replace function session_reaper.canary_fires(of_user :user_key_type)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    fired boolean;
begin
    :password_probe;
    fired := exists (
        select from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where c.xid = pg_catalog.pg_current_xact_id() and c.begun_at = pg_catalog.now() and r.user_id = of_user);
    raise exception using errcode = 'P0SR1';
exception
    when sqlstate 'P0SR1' then
        return fired;
    -- The site refuses such a password, so this cannot be tested.
    when integrity_constraint_violation or data_exception then
        return true;
end
$$;

comment on function session_reaper.canary_fires(:user_key_type) is
    'Whether a change of this user''s password asks for sessions to end; it is rolled back. True if that cannot be tried. For canary_ask() only.';

create or replace function session_reaper.canary_ask()
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    of_user :user_key_type;
    asked bigint;
begin
    select session_reaper.find_user(c.user_key) into of_user from session_reaper.canary c for update;
    if of_user is null then
        asked := session_reaper.request('session', null, 'canary', 'all', null);
    elsif session_reaper.canary_fires(of_user) or not :can_probe then
        asked := session_reaper.revoke_user(of_user, 'canary');
    else
        perform session_reaper.canary_failed('trigger');
        return false;
    end if;
    update session_reaper.canary c set revocation_id = asked;
    return true;
exception when others or assert_failure then
    perform session_reaper.canary_failed('trigger', sqlstate);
    return false;
end
$$;

comment on function session_reaper.canary_ask() is
    'Asks for the session of the run to end, as a changed password does; notes a failure and returns false.';

-- The state "revoked" is not enough: a session that another transaction holds still exists then.
create or replace function session_reaper.canary_look(patience_s double precision)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    run session_reaper.canary;
    asked record;
    is_there constant boolean := session_reaper.canary_is_there();
begin
    select * into run from session_reaper.canary;
    select r.state, r.revoked_at, r.settled_at, c.at into asked
        from session_reaper.revocation r join session_reaper.change c on c.id = r.change_id
        where r.id = run.revocation_id;
    if run.revocation_id is null or not found then
        return 'unknown';
    end if;
    if run.gone_at is null and not is_there and asked.state <> 'requested' then
        run.gone_at := least(
            case when run.own_session is null then asked.revoked_at else pg_catalog.clock_timestamp() end, asked.settled_at);
        update session_reaper.canary c set gone_at = run.gone_at;
    end if;
    if asked.state = 'settled' and not is_there then
        update session_reaper.canary c
        set finished_at = pg_catalog.clock_timestamp(), succeeded_at = pg_catalog.clock_timestamp(), own_session = null,
            -- The session may be found gone only after the settling, by a look that still read the old state.
            gone_s = session_reaper.seconds_after(asked.at, least(run.gone_at, asked.settled_at)),
            settled_s = session_reaper.seconds_after(asked.at, asked.settled_at),
            failed_stage = null, failed_sqlstate = null;
        return 'succeeded';
    end if;
    if pg_catalog.clock_timestamp() < run.began_at + patience_s * interval '1 second' then
        return 'waiting';
    end if;
    perform session_reaper.canary_failed(case when run.gone_at is null or is_there then 'gone' else 'settled' end);
    return 'failed';
end
$$;

comment on function session_reaper.canary_look(double precision) is
    'How far the run is: waiting, succeeded, failed, or unknown if its revocation no longer exists. Notes the result.';

create or replace function session_reaper.canary_off()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    if exists (select from session_reaper.canary c where c.began_at is not null) then
        perform session_reaper.canary_remove();
        update session_reaper.canary c
        set began_at = null, finished_at = null, user_key = null, own_session = null, revocation_id = null, gone_at = null,
            succeeded_at = null, gone_s = null, settled_s = null,
            failures = 0, failed_at = null, failed_stage = null, failed_sqlstate = null;
    end if;
end
$$;

comment on function session_reaper.canary_off() is
    'Deletes what a switched-off canary has left, so that status shows no old results. Writes nothing if there is nothing.';
