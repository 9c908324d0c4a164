-- Asking for a backfill, which reads all sessions for their users again; and the age that counts for a session that only
-- the backfill finds.

-- A change settles only once every older session has been found: linked, or in the queue. So a session that was written
-- while nothing was noted, and is found later, is younger than every change that has settled by now (P2). It may be older
-- than the other changes: those whose transactions are still waited for, those whose wait was cut short, and those that
-- commit later (P1). The snapshot lists at most a hundred of these; all later ones count as unseen.
create or replace function session_reaper.age_of_unnoted(out begun_at timestamptz, out snapshot pg_snapshot)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with known as materialized (
        select c.xid, c.at, coalesce(r.all_settled, false) as is_settled
        from session_reaper.change c
        left join (
            select o.change_id, pg_catalog.bool_and(o.state = 'settled' and not o.waited_out) as all_settled
            from session_reaper.revocation o
            group by o.change_id
        ) r on r.change_id = c.id
    ), unseen as (
        select x as xid from pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) x
        union
        select k.xid from known k
        where not k.is_settled and k.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ), bounded as (
        select coalesce(
            (select u.xid from unseen u order by u.xid offset 100 limit 1),
            pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())) as xmax
    )
    select
        -- For a change that came with a dump and has not settled, only the clock decides.
        least(
            coalesce(
                (select pg_catalog.max(k.at) + interval '1 microsecond' from known k where k.is_settled),
                '-infinity'),
            (select pg_catalog.min(k.at) from known k
             where not k.is_settled and not pg_catalog.pg_visible_in_snapshot(k.xid, pg_catalog.pg_current_snapshot()))),
        (select pg_catalog.format('%s:%s:%s',
            coalesce((pg_catalog.array_agg(u.xid order by u.xid))[1], b.xmax),
            b.xmax,
            pg_catalog.string_agg(u.xid::text, ',' order by u.xid))
         from bounded b
         left join unseen u on u.xid < b.xmax
         group by b.xmax)::pg_snapshot
$$;

comment on function session_reaper.age_of_unnoted() is
    'The greatest age of a session that was written while nothing was noted. For the functions of this schema only.';

create or replace function session_reaper.least_age(out begun_at timestamptz, out snapshot pg_snapshot)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case when k.is_known then t.least_begun_at else '-infinity' end,
        case when k.is_known then t.least_snapshot else '1:1:' end
    from session_reaper.backfill t
    cross join lateral (select not t.complete and not session_reaper.is_from_elsewhere(t.least_snapshot)) k (is_known)
$$;

comment on function session_reaper.least_age() is
    'How old a session counts if it is not known when its user logged in.';

-- After the installation, and whenever writes were not noted, every session has to be read. The transaction that attaches
-- the triggers asks for this, and waits for all writers: what they wrote before is in the table, what they write
-- afterwards is in the queue. A session found this way counts as older than every change. Only if all sessions had been
-- read before the gap (a pause, a full queue, lost links, a write that could not be noted) is its age bounded.
create or replace function session_reaper.backfill_again(why text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    -- First this row, then the pages: a daemon that cuts pages holds it, and a daemon that reads a page never waits for it.
    update session_reaper.backfill t
    set (least_begun_at, least_snapshot) = (
            -- A backfill that had not finished keeps the age from when it was first asked for.
            select case when not t.complete then t.least_begun_at when n.was_noted then a.begun_at else '-infinity' end,
                case when not t.complete then t.least_snapshot when n.was_noted then a.snapshot else '1:1:' end
            from session_reaper.age_of_unnoted() a
            cross join (
                select why in ('overflow', 'truncated', 'missed')
                    or why = 'installed' and exists (select from session_reaper.pause p where p.noted)) n (was_noted)),
        complete = false, reason = why, begun_at = pg_catalog.clock_timestamp(), finished_at = null,
        sessions = 0, linked = 0, reached = null;
    delete from session_reaper.page;
    delete from session_reaper.opened_anonymous;
$$;

comment on function session_reaper.backfill_again(text) is 'Makes the daemon read every session for its user.';
