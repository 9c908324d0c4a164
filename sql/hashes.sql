-- Django keeps in a session a hash of the password that its login verified. With the site's SECRET_KEY the daemon finds
-- sessions that were opened under an older password although their transaction began after the change: no schema can
-- see those (design section 2). This is the part that the database does; the comparison is src/verifier.rs.

-- Each link is looked at once, after a grace: a session that goes on with a new key carries the old hash until its
-- request ends. Whoever holds the row of hash_reading compares. The links stay locked until end_stale().
create or replace function session_reaper.take_unverified(
    most integer, grace_s double precision,
    out place text, out linked_us bigint, out data bytea, out password text)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set row_security = off
as $$
declare
    since timestamptz;
begin
    select h.verified_to into since
        from session_reaper.hash_reading h
        where not session_reaper.is_paused()
        for update skip locked;
    if not found then
        return;
    end if;
    return query
        select l.ctid::text, (extract(epoch from l.linked_at) * 1000000)::bigint, :data, :password
        from session_reaper.user_session l
        join :"session_schema".:"session_table" s on s.:"session_key" = l.session_key
        join :"user_schema".:"user_table" u on u.:"user_key" = l.user_id
        where l.linked_at > since
          and l.linked_at <= pg_catalog.clock_timestamp() - grace_s * interval '1 second'
        order by l.linked_at
        limit most
        for update of l skip locked;
end
$$;

comment on function session_reaper.take_unverified(integer, double precision) is
    'Sessions whose hash of the password has not been compared yet, with their data and their users'' password hashes, oldest link first.';

create or replace function session_reaper.end_stale(places text[], verified_to_us bigint)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    stale record;
    ended bigint := 0;
begin
    for stale in
        select l.session_key, l.user_id
        from session_reaper.user_session l
        where l.ctid = any (places::tid[])
        order by l.session_key
    loop
        insert into session_reaper.revoked_key (revocation_id, session_key)
        values (session_reaper.request('session', stale.user_id, 'stale hash', 'all', null), stale.session_key);
        ended := ended + 1;
    end loop;
    update session_reaper.hash_reading h
    set verified_to = greatest(
        h.verified_to, '1970-01-01 00:00:00+00'::timestamptz + verified_to_us * interval '1 microsecond');
    return ended;
end
$$;

comment on function session_reaper.end_stale(text[], bigint) is
    'Asks for these sessions to end, whose hash is that of no password that their user has, and notes how far links have been compared, in microseconds since 1970.';
