-- Whether the site is migrating, and what a column is called meanwhile.

-- In PL/pgSQL, which keeps its plan: this is asked before every sweep.
create or replace function session_reaper.is_paused()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (select from session_reaper.pause);
end
$$;

comment on function session_reaper.is_paused() is
    'Whether nothing is to be ended or purged for now, because the site migrates.';

create or replace function session_reaper.column_now(relation oid, number smallint, known_as name)
returns name
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select a.attname
    from pg_catalog.pg_attribute a
    where a.attrelid = relation and not a.attisdropped and (a.attnum = number or a.attname = known_as)
    order by a.attnum = number desc
    limit 1
$$;

comment on function session_reaper.column_now(oid, smallint, name) is
    'What a column is called now; null if there is none. For the functions of this schema only.';
