-- Rows that arrive by replication. Ordinary triggers do not fire for them, and neither do foreign keys; our triggers do,
-- because they are enabled always (src/schema/objects/triggers). They run in the process that applies the rows, where a failure
-- stops the replication, so nothing of ours may fail.

create or replace function session_reaper.is_replica()
returns boolean
language sql
stable
return pg_catalog.current_setting('session_replication_role') = 'replica';

comment on function session_reaper.is_replica() is
    'Whether this database session writes rows that arrive by replication, or poses as one that does.';

-- For instance under a publication FOR ALL TABLES. A row that we made here would conflict with the one that arrives.
create or replace function session_reaper.arrives_by_itself()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_catalog.pg_subscription_rel s where s.srrelid = 'session_reaper.revocation'::pg_catalog.regclass)
$$;

comment on function session_reaper.arrives_by_itself() is
    'Whether our own tables are replicated to this server, too. For the functions of this schema only.';

-- A session whose row went without its link, because the foreign key did not fire, would keep its revocation open for ever.
-- A locked link is left to the next sweep (P6).
create or replace function session_reaper.drop_links_to_nothing(keys :session_key_base_type[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set row_security = off
as $$
#variable_conflict use_variable
begin
    delete from session_reaper.user_session l
    where l.session_key = any (array(
        select d.session_key
        from session_reaper.user_session d
        where d.session_key = any (keys)
          and not exists (
            select from :"session_schema".:"session_table" s where s.:"session_key" = d.session_key)
        for update skip locked));
end
$$;

comment on function session_reaper.drop_links_to_nothing(:session_key_base_type[]) is
    'Removes the links of those of these sessions that are gone. For the functions of this schema only.';

-- Ids and snapshots of the server that they come from mean nothing here. The next daemon or `migrate` gives them a meaning,
-- as for those of a dump, and every session is read then (sql/adopt.sql). So nothing needs to be queued until then. Rows
-- that leave the queue on that server could not be found in it here either, because snapshots cannot be compared, and that
-- would stop the replication.
create or replace function session_reaper.note_arrival()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not session_reaper.arrives_by_itself() then
        return new;
    end if;
    update session_reaper.origin o set system_identifier = 0 where o.system_identifier <> 0;
    return case when tg_table_name = 'pending_link' then null else new end;
exception when others or assert_failure then
    return new;
end
$$;

comment on function session_reaper.note_arrival() is
    'Notes that rows of our tables arrive from another server. Never fails.';

do $$
declare
    relation text;
begin
    foreach relation in array array['change', 'user_session', 'pending_link'] loop
        execute pg_catalog.format(
            'create or replace trigger note_arrival before insert on session_reaper.%1$I
                for each row execute function session_reaper.note_arrival();
            alter table session_reaper.%1$I enable replica trigger note_arrival', relation);
    end loop;
end
$$;
