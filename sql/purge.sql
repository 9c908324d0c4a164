-- Deleting sessions that have expired, a batch at a time.

-- Where expiry meant another type before, there is a function that still purges by it.
do $$
declare
    other pg_catalog.regprocedure;
begin
    for other in
        select p.oid
        from pg_catalog.pg_proc p
        where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace
          and p.proname = 'purge_expired'
          and p.oid is distinct from pg_catalog.to_regprocedure('session_reaper.purge_expired(:expires_type, integer)')
    loop
        execute pg_catalog.format('drop function %s', other);
    end loop;
end
$$;

-- Takes the oldest ones behind "reached" that nobody holds: whoever saves a session while it expires wins. Begins
-- where the last batch left off, because its dead rows are still in the index, and reading past them for every batch is
-- what makes a long purge slower and slower. One that cannot be deleted, because something of the site's refers to
-- it, must not keep the others (P8); what is caught here is not written to the server's log, where its text could
-- quote a key (P7).
create or replace function session_reaper.purge_expired(
    inout reached :expires_type, most integer, out deleted bigint, out refused bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    keys :session_key_base_type[];
begin
    set constraints all immediate;
    with expired as materialized (
        select s.:"session_key" as session_key, :expires_raw as expires
        from :"session_schema".:"session_table" s
        where :is_expired and :expires_raw >= coalesce(reached, :expires_least)
        order by :expires_raw
        limit most
        for update of s skip locked
    )
    select array_agg(e.session_key), max(e.expires) into keys, reached from expired e;
    deleted := 0;
    refused := 0;
    begin
        delete from :"session_schema".:"session_table" s where s.:"session_key" = any (keys);
        get diagnostics deleted = row_count;
    exception when others then
        for i in 1 .. cardinality(keys) loop
            begin
                delete from :"session_schema".:"session_table" s where s.:"session_key" = keys[i];
                deleted := deleted + 1;
            exception when others then
                refused := refused + 1;
            end;
        end loop;
    end;
end
$$;

comment on function session_reaper.purge_expired(:expires_type, integer) is
    'Deletes up to "most" expired sessions whose time is "reached" or later (null: from the first); says how far it got, how many are gone and how many could not be deleted.';
