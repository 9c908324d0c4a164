-- Django keeps in a session a hash of the password that its login verified. With the site's SECRET_KEY the daemon finds
-- sessions that were opened under an older password although their transaction began after the change: no schema can see
-- those (design section 2). This file is the database's part; the comparison is in src/link/stale_hashes/mod.rs.

-- Earlier releases handed out the password hash itself. Other result columns need the function to be dropped first.
drop function if exists session_reaper.unverified(text[], integer);

-- Each link is looked at once, after a grace: a session that continues under a new key carries the old hash until its
-- request ends. The daemon that holds the row of hash_check compares. The links stay locked until end_stale().
create or replace function session_reaper.take_unverified(
    most integer, grace_s double precision, out place text, out linked_us bigint)
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
        from session_reaper.hash_check h
        where not session_reaper.is_paused()
        for update skip locked;
    if not found then
        return;
    end if;
    return query
        select l.ctid::text, (extract(epoch from l.linked_at) * 1000000)::bigint
        from session_reaper.user_session l
        where l.linked_at > since
          and l.linked_at <= pg_catalog.clock_timestamp() - grace_s * interval '1 second'
        order by l.linked_at
        limit most
        for update of l skip locked;
end
$$;

comment on function session_reaper.take_unverified(integer, double precision) is
    'Sessions whose password hash has not been compared yet, oldest link first.';

-- The daemon's role may be stolen, so it never gets a password hash. It brings the key, and gets what Django would have
-- written into a session under that key. The key comes by binary COPY, because a parameter can reach the server's log, and
-- a line of text would appear in the context of an error (P7). It is kept only for the transaction, in this connection.
create or replace view session_reaper.hash_key as
select null::bytea as inner_block, null::bytea as outer_block where false;

comment on view session_reaper.hash_key is
    'Takes the keys with which unverified() computes what a session has to carry, by COPY, and keeps them until the transaction ends. Shows nothing.';
comment on column session_reaper.hash_key.inner_block is 'The block that HMAC puts before the message.';
comment on column session_reaper.hash_key.outer_block is 'The block that HMAC puts before the digest of that.';

create or replace function session_reaper.keep_hash_key()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    keys text := nullif(pg_catalog.current_setting('session_reaper.hash_keys', true), '');
begin
    -- An assignment, because extensions that log statements do not see it.
    keys := pg_catalog.set_config('session_reaper.hash_keys', pg_catalog.concat_ws(
        ',', keys, pg_catalog.encode(new.inner_block, 'hex') || pg_catalog.encode(new.outer_block, 'hex')), true);
    return new;
end
$$;

comment on function session_reaper.keep_hash_key() is 'Keeps a key that was copied into hash_key until the transaction ends.';

create or replace trigger keep_hash_key
    instead of insert on session_reaper.hash_key
    for each row
    execute function session_reaper.keep_hash_key();

create or replace function session_reaper.hashes_of(password bytea)
returns bytea[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    keys text := nullif(pg_catalog.current_setting('session_reaper.hash_keys', true), '');
    hashes bytea[] := '{}';
    key text;
begin
    if password is null then
        return null;
    end if;
    foreach key in array pg_catalog.string_to_array(coalesce(keys, ''), ',') loop
        hashes := hashes || pg_catalog.sha256(
            pg_catalog.decode(pg_catalog.right(key, 128), 'hex')
            || pg_catalog.sha256(pg_catalog.decode(pg_catalog.left(key, 128), 'hex') || password));
    end loop;
    return hashes;
end
$$;

comment on function session_reaper.hashes_of(bytea) is
    'HMAC-SHA256 of a password hash under each of the keys that this transaction has brought. For the functions of this schema only.';

-- In the order of "places", because the caller may not get all of them at once, and asks for the others next.
create or replace function session_reaper.unverified(places text[], most_bytes integer, out data bytea, out hashes bytea[])
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    link record;
    bytes bigint := 0;
begin
    for link in
        select :raw_data as raw, :password as password
        from pg_catalog.unnest(places) with ordinality as p (place, number)
        left join session_reaper.user_session l on l.ctid = p.place::tid
        left join :"session_schema".:"session_table" s on s.:"session_key" = l.session_key
        left join :"user_schema".:"user_table" u on u.:"user_key" = l.user_id
        order by p.number
    loop
        select d.data into data from session_reaper.data_of(link.raw) d;
        hashes := session_reaper.hashes_of(session_reaper.text_of(link.password));
        return next;
        bytes := bytes + coalesce(pg_catalog.octet_length(data), 0);
        exit when bytes >= most_bytes;
    end loop;
end
$$;

comment on function session_reaper.unverified(text[], integer) is
    'The data of these links'' sessions, and what Django would write into them under each key for their users'' current passwords; up to "most_bytes" of data, at least one row; null where they cannot be read.';

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
    update session_reaper.hash_check h
    set verified_to = greatest(
        h.verified_to, '1970-01-01 00:00:00+00'::timestamptz + verified_to_us * interval '1 microsecond');
    return ended;
end
$$;

comment on function session_reaper.end_stale(text[], bigint) is
    'Asks for these sessions to end, whose hash does not match their user''s password, and notes how far links have been compared, in microseconds since 1970.';
