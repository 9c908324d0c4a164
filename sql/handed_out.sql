-- One row must not hold up the others (P8). Work that can fail on a row's content is tried where the error can be caught: a
-- failing statement writes the value to the server's log (P7), and would fail again for the same batch.

-- These classes of errors are about the values of a row, which is set aside and counted. All others, such as a missing
-- right, a lock or a full disk, are about the circumstances. They would set every row aside (P1), so they fail the
-- statement.
create or replace function session_reaper.is_of_the_row(code text)
returns boolean
language sql
immutable
parallel safe
return pg_catalog.left(code, 2) in ('21', '22', '23', '27', '44', '54', 'P0', 'XX');

comment on function session_reaper.is_of_the_row(text) is
    'Whether an error of this SQLSTATE is about a row''s content, so that the other rows can be worked on without it.';

create or replace function session_reaper.exchanged_encoding()
returns name
language sql
stable
parallel safe
return case pg_catalog.getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII'::name else 'UTF8'::name end;

comment on function session_reaper.exchanged_encoding() is
    'The encoding in which texts go to the daemon and back, as bytes: a database with no known encoding passes them on unchanged.';

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
    'The session data that the daemon reads; "is_refused" if they cannot be read: bytes unknown to the encoding, or damaged.';

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

comment on function session_reaper.text_of(text) is 'A text of the site as bytes; null if it cannot be read.';
