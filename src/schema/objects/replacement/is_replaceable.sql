-- schema::objects::replacement::is_replaceable
-- The new table would lack what the site has changed on ours.
select l.relreplident = 'd'
  and l.reltablespace = 0
  and not l.relrowsecurity
  and not exists (
    select from pg_catalog.pg_trigger g
    where g.tgrelid = l.oid and not g.tgisinternal and g.tgenabled <> case g.tgname when 'note_arrival' then 'R' else 'O' end)
  -- A subscriber knows no table of that name.
  and not exists (
    select from pg_catalog.pg_publication_tables p
    where p.schemaname = 'session_reaper' and p.tablename = 'user_session')
  -- Views and foreign keys of the site refer to the table itself and not to its name.
  and not exists (
    select
    from pg_catalog.pg_depend d
    where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      and d.refobjid = l.oid
      and d.deptype = 'n'
      and d.classid <> 'pg_catalog.pg_trigger'::pg_catalog.regclass
      and not exists (
        select from pg_catalog.pg_rewrite w
        where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
          and w.oid = d.objid
          and w.ev_class = 'session_reaper.live_session'::pg_catalog.regclass))
from pg_catalog.pg_class l
where l.oid = 'session_reaper.user_session'::pg_catalog.regclass
