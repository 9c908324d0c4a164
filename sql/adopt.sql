-- Making rows that a dump or replication brought from another server mean what is true here.

-- A dump or replication may bring rows without the sequence's next number.
create or replace function session_reaper.catch_up_numbers()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    relation text;
begin
    foreach relation in array array[
        'change', 'revocation', 'horizon', 'paused_request', 'page', 'unreadable', 'pending_eviction']
    loop
        execute pg_catalog.format(
            'select pg_catalog.setval(s.name, m.id)
            from pg_catalog.pg_get_serial_sequence(%1$L, ''id'') s (name)
            cross join (select pg_catalog.max(t.id) as id from %1$s t) m
            where m.id > coalesce(pg_catalog.pg_sequence_last_value(s.name::regclass), 0)',
            'session_reaper.' || relation);
    end loop;
end
$$;

comment on function session_reaper.catch_up_numbers() is
    'Makes new rows get numbers beyond those that have arrived. For the functions of this schema only.';

-- A login that handed back a version from before a change is older than the change, even if it began after it, and only
-- snapshots show that. They do so as long as both come from the same server; after that the clock has to (P1). Revocations
-- that had settled had ended such sessions, or are open again because of them.
create or replace function session_reaper.date_stale_links()
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    with arrived as materialized (
        select l.session_key, l.user_id, l.xid, l.begun_at, l.snapshot
        from session_reaper.user_session l
        where l.credential_version is not null
          and pg_catalog.split_part(l.credential_version, '/', 1) <> (select session_reaper.version_origin())
    ), open as materialized (
        select r.user_id, r.scope, r.keep_digest, r.policy, c.xid, c.begun_at, c.at
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.state <> 'settled' and r.scope in ('user', 'all')
    ), pair as (
        select a.*, o.keep_digest, o.policy, o.xid as changed_in, o.begun_at as change_begun_at, o.at
        from arrived a join open o on o.scope = 'user' and o.user_id = a.user_id
        union all
        select a.*, o.keep_digest, o.policy, o.xid, o.begun_at, o.at
        from arrived a join open o on o.scope = 'all'
    ), stale as (
        select p.session_key, pg_catalog.min(p.at) as older_than
        from pair p
        where not pg_catalog.pg_visible_in_snapshot(p.changed_in, p.snapshot)
          and not (p.xid = p.changed_in and p.begun_at = p.change_begun_at)
          and not session_reaper.is_kept(p.session_key, p.keep_digest, p.policy)
        group by p.session_key
    )
    update session_reaper.user_session l
    set begun_at = s.older_than
    from stale s
    where l.session_key = s.session_key and l.begun_at > s.older_than
$$;

comment on function session_reaper.date_stale_links() is
    'Makes links that came with a dump show by their time what only their snapshots showed. For adopt_ids() only.';

-- This server will reach these ids some day, or has passed them already. Then a restored change looks as if newer logins
-- had not seen it, and ends them (P2); and a restored snapshot claims to have seen what it has not (P1). Transaction 0 is
-- visible to every snapshot, and a snapshot '1:1:' has seen nothing else. So the clock decides between restored rows, and
-- all of them are older than a change made here.
create or replace function session_reaper.adopt_ids()
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform session_reaper.catch_up_numbers();
    if exists (select from session_reaper.origin o where o.system_identifier = 0) and :reads then
        perform session_reaper.backfill_again('arrived');
    end if;
    update session_reaper.origin o
    set system_identifier = s.system_identifier
    from pg_catalog.pg_control_system() s
    where o.system_identifier <> s.system_identifier;
    if not found then
        return false;
    end if;
    perform session_reaper.date_stale_links();
    -- Two transactions may have begun at the same moment; a microsecond more keeps their changes apart.
    with ranked as (
        select c.id, pg_catalog.row_number() over (partition by c.begun_at order by c.id) - 1 as place
        from session_reaper.change c
    )
    update session_reaper.change c
    set xid = '0', begun_at = c.begun_at + r.place * interval '1 microsecond', newer_from = null, stamps = 3
    from ranked r
    where r.id = c.id;
    update session_reaper.revocation r set changed_in = '0' where r.changed_in is not null;
    update session_reaper.user_session l set xid = '0', snapshot = '1:1:';
    update session_reaper.pending_eviction e set xid = '0', snapshot = '1:1:' where e.xid is not null;
    update session_reaper.pending_link u set xid = '0', snapshot = '1:1:';
    update session_reaper.drain q set drained_to = '1:1:';
    update session_reaper.horizon h set prepared_transactions = null where h.passed_at is null;
    return true;
end
$$;

comment on function session_reaper.adopt_ids() is
    'Makes transaction ids and snapshots that came with a dump of another server mean what is true here; returns whether any were.';
