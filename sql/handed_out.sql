-- One row must not hold up the others (P8). What can fail on what stands in a row is tried where the error can be caught:
-- a statement that fails says in the server's log on which value it did (P7), and would fail again for the same batch.

-- The classes of errors that are about the values of a row: the row is set aside and counted. All others, a missing right,
-- a lock, a full disk, are about the circumstances and would set everything aside (P1), so they fail the statement.
create or replace function session_reaper.is_of_the_row(code text)
returns boolean
language sql
immutable
parallel safe
return pg_catalog.left(code, 2) in ('21', '22', '23', '27', '44', '54', 'P0', 'XX');

comment on function session_reaper.is_of_the_row(text) is
    'Whether an error of this SQLSTATE is about what stands in a row, so that the others can be worked on without it.';

create or replace function session_reaper.exchanged_encoding()
returns name
language sql
stable
parallel safe
return case pg_catalog.getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII'::name else 'UTF8'::name end;

comment on function session_reaper.exchanged_encoding() is
    'In which encoding texts go to the daemon and come back, as bytes: a database that does not know its own passes them on as they are.';

create or replace function session_reaper.data_of(raw anyelement, out data bytea, out is_refused boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    is_refused := false;
    data := :data_of_raw;
exception when others or assert_failure then
    if not session_reaper.is_of_the_row(sqlstate) then
        raise;
    end if;
    is_refused := true;
end
$$;

comment on function session_reaper.data_of(anyelement) is
    'What the daemon is given to read of a session, or that it cannot be had: bytes that the encoding does not know, damaged ones.';

create or replace function session_reaper.text_of(raw text)
returns bytea
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return pg_catalog.convert_to(raw, session_reaper.exchanged_encoding());
exception when others or assert_failure then
    if not session_reaper.is_of_the_row(sqlstate) then
        raise;
    end if;
    return null;
end
$$;

comment on function session_reaper.text_of(text) is 'A text of the site''s as bytes; null where it cannot be had.';
