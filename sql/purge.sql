-- Deleting sessions that have expired, a batch at a time.

-- Takes the oldest ones behind "reached" that nobody holds: whoever saves a session while it expires wins. Begins
-- where the last batch left off, because its dead rows are still in the index, and reading past them for every batch is
-- what makes a long purge slower and slower. One that cannot be deleted, because something of the site's refers to
-- it, must not keep the others (P8); what is caught here is not written to the server's log, where its text could
-- quote a key (P7).
create or replace function session_reaper.purge_expired(
    inout reached timestamptz, most integer, out deleted bigint, out refused bigint)
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
        select s.:"session_key" as session_key, s.:"expires_column" as expires
        from :"session_schema".:"session_table" s
        where s.:"expires_column" < now() and s.:"expires_column" >= reached
        order by s.:"expires_column"
        limit most
        for update skip locked
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

comment on function session_reaper.purge_expired(timestamptz, integer) is
    'Deletes up to "most" sessions that expired at "reached" or later; says how far it got, how many are gone and how many could not be deleted.';
