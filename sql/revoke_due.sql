-- Revoking what is due: a batch of the revoker, in one call of the daemon's. Each statement in it has a snapshot of its own,
-- as it would have if the daemon sent it: a sweep sees what had committed before its claim. Planned as sql/lock.sql
-- describes.

-- A change without a stamp counts as later than every login, for ever (P2). It has none because its trigger was off, as
-- under session_replication_role = replica. It gets one as soon as it is seen, which is no earlier than its commit (P1).
create or replace function session_reaper.stamp_changes(revocations bigint[])
returns bigint[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    update session_reaper.change c
    set at = session_reaper.latest_time(), stamps = 3
    where c.id = any (array(
        select u.id
        from session_reaper.change u
        where u.at is null
          and u.id = any (array(select r.change_id from session_reaper.revocation r where r.id = any (revocations)))
        for no key update skip locked));
    return array(
        select r.id
        from session_reaper.revocation r
        join session_reaper.change c on c.id = r.change_id
        where r.id = any (revocations) and c.at is not null);
end
$$;

comment on function session_reaper.stamp_changes(bigint[]) is
    'Those of these revocations whose change has a stamp, once the others have got theirs; what another daemon is stamping just now is left to it.';

-- Up to "most" revocations that no other daemon has locked, apart from those of everybody, which are walked page by page.
-- In the order of "place", which takes fifty of each change in turn: a single change does not wait behind a mass reset.
create or replace function session_reaper.claim_due(most integer)
returns bigint[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    claimed bigint[];
    are_stamped boolean;
begin
    if session_reaper.is_paused() then
        return '{}';
    end if;
    select coalesce(pg_catalog.array_agg(d.id), '{}'), pg_catalog.bool_and(d.is_stamped) into claimed, are_stamped
        from (
            select r.id,
                exists (select from session_reaper.change c where c.id = r.change_id and c.at is not null) as is_stamped
            from session_reaper.revocation r
            where r.state = 'requested' and r.scope <> 'all' and r.next_attempt_at <= pg_catalog.clock_timestamp()
            order by r.place, r.id
            limit most
            for update skip locked
        ) d;
    return case when are_stamped is false then session_reaper.stamp_changes(claimed) else claimed end;
end
$$;

comment on function session_reaper.claim_due(integer) is
    'Locks up to "most" revocations whose sessions are to be ended now, and returns them.';

-- They have been swept, and none of their free sessions is left: a client that is told so may count on it.
create or replace function session_reaper.mark_revoked(revocations bigint[], tells boolean)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    update session_reaper.revocation r
    set state = 'revoked', revoked_at = pg_catalog.clock_timestamp(), attempts = 0,
        changed_in = c.xid, changed_at = coalesce(c.at, 'infinity')
    from session_reaper.change c
    where r.id = any (revocations) and c.id = r.change_id;
    if tells then
        perform session_reaper.tell_revoked(revocations);
    end if;
end
$$;

comment on function session_reaper.mark_revoked(bigint[], boolean) is
    'Notes that these revocations have been swept, and where "tells" is set, sends NOTIFY session_revoked.';

-- The batch is shared out among them.
create or replace function session_reaper.revoke_claimed(
    revocations bigint[], batch_rows integer, remember boolean, tells boolean,
    out revoked bigint[], out ended bigint, out more boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    unswept bigint[];
begin
    select s.ended, s.unswept into ended, unswept
        from session_reaper.sweep_free(
            revocations, greatest(batch_rows / pg_catalog.cardinality(revocations), 1), remember) s;
    more := pg_catalog.cardinality(unswept) > 0;
    revoked := case
        when more then array(select pg_catalog.unnest(revocations) except select pg_catalog.unnest(unswept) order by 1)
        else revocations end;
    if pg_catalog.cardinality(revoked) > 0 then
        perform session_reaper.mark_revoked(revoked, tells);
    end if;
end
$$;

comment on function session_reaper.revoke_claimed(bigint[], integer, boolean, boolean) is
    'Ends up to "batch_rows" free sessions of these claimed revocations. Returns which are revoked now, how many sessions ended, and whether there are more.';

-- A session that waits to be linked may be one of those that end. So a daemon that links drains that queue first
-- ("links_first") and comes again; until then, others may claim these. With nothing due, nothing is locked or written.
create or replace function session_reaper.revoke_due(
    most integer, batch_rows integer, remember boolean, tells boolean, links_first boolean,
    out revoked bigint[], out ended bigint, out more boolean, out everybody boolean, out is_behind boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    claimed bigint[] := session_reaper.claim_due(most);
begin
    revoked := '{}';
    ended := 0;
    more := pg_catalog.cardinality(claimed) >= most;
    everybody := exists (select from session_reaper.revocation r where r.state = 'requested' and r.scope = 'all');
    is_behind := links_first and (everybody or claimed <> '{}') and session_reaper.is_any_link_pending();
    if not is_behind and claimed <> '{}' then
        select c.revoked, c.ended, revoke_due.more or c.more into revoked, ended, more
            from session_reaper.revoke_claimed(claimed, batch_rows, remember, tells) c;
    end if;
end
$$;

comment on function session_reaper.revoke_due(integer, integer, boolean, boolean, boolean) is
    'Claims up to "most" revocations that are due and does what revoke_claimed() does. Returns also whether there is a revocation of everybody, and whether sessions have to be linked first, in which case nothing else was done.';
