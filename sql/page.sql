-- The backfill: linking the session table itself, page by page, after the installation and whenever writes were not noted.

-- The next page of the table in key order, for a caller of page() and link_page() in the same transaction.
create or replace function session_reaper.claim_page(most integer, out id bigint, out completed boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    completed := false;
    if session_reaper.is_paused() or session_reaper.read_what_was_missed() then
        return;
    end if;
    id := session_reaper.free_page();
    if id is null then
        completed := session_reaper.cut_pages(most);
        id := session_reaper.free_page();
    end if;
end
$$;

comment on function session_reaper.claim_page(integer) is
    'Takes the next page of the table to be read, of "most" sessions if there is none yet; null if all are read or being read. "completed" means that the backfill has just been found complete.';

create or replace function session_reaper.free_page()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select p.id from session_reaper.page p where not p.done order by p.id limit 1 for update skip locked
$$;

comment on function session_reaper.free_page() is 'Locks a page that has not been read and is not being read.';

-- Cuts off the next pages, enough for several daemons to read for a while. The backfill is complete when no page is left
-- and no more can be cut.
create or replace function session_reaper.cut_pages(most integer)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    pages constant integer := 16;
    after_key :session_key_base_type;
    last_key :session_key_base_type;
begin
    select t.reached into after_key from session_reaper.backfill t where not t.complete for update skip locked;
    if not found then
        return false;
    end if;
    with read as (
        delete from session_reaper.page p where p.done returning p.sessions, p.linked
    )
    update session_reaper.backfill t
    set sessions = t.sessions + r.sessions, linked = t.linked + r.linked
    from (select pg_catalog.sum(d.sessions)::bigint as sessions, pg_catalog.sum(d.linked)::bigint as linked from read d) r
    where r.sessions is not null;
    for i in 1 .. pages loop
        select s.:"session_key" into last_key
            from :"session_schema".:"session_table" s
            where after_key is null or s.:"session_key" > after_key
            order by s.:"session_key"
            offset most - 1 limit 1;
        if not found then
            -- The last one has fewer.
            select s.:"session_key" into last_key
                from :"session_schema".:"session_table" s
                where after_key is null or s.:"session_key" > after_key
                order by s.:"session_key" desc
                limit 1;
        end if;
        exit when last_key is null;
        insert into session_reaper.page (after_key, to_key) values (after_key, last_key);
        after_key := last_key;
    end loop;
    if exists (select from session_reaper.page) then
        update session_reaper.backfill t set reached = after_key;
        return false;
    end if;
    update session_reaper.backfill t
    set complete = true, reached = null, finished_at = pg_catalog.clock_timestamp();
    delete from session_reaper.opened_anonymous;
    return true;
end
$$;

comment on function session_reaper.cut_pages(integer) is
    'Cuts the next pages of "most" sessions off the table, unless another daemon is cutting; true if all have been read.';

-- Not declared immutable, because the conversion is not immutable either: PostgreSQL could then not inline the expression,
-- and each call would cost ten times as much.
create or replace function session_reaper.key_digest(session_key :session_key_base_type)
returns bytea
language sql
stable
parallel safe
return pg_catalog.sha256(:session_key_bytes);

comment on function session_reaper.key_digest(:session_key_base_type) is
    'SHA-256 of a session key: tells sessions apart without giving one away.';

create or replace function session_reaper.older_links()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select t.begun_at
    from session_reaper.backfill t
    where exists (select from session_reaper.user_session l where l.linked_at < t.begun_at)
$$;

comment on function session_reaper.older_links() is
    'When this backfill was asked for, if there are links from before it; null in the first backfill.';

-- Handles are digests, because another statement looks the page up again, and by then rows may have moved. Sessions that
-- the app has linked are passed over, and so are those that were linked since this backfill was asked for. An older link
-- that was read tells whose the session was before writes went unnoted, and not whose it is now. Sessions in the queue are
-- passed over, too: the queue tells how old their logins are, while a session found here counts as older than everything
-- (P2).
--
-- A page of large data is cut where "most_bytes" have been handed out; the rest becomes a separate page.
create or replace function session_reaper.page(
    page_id bigint, most_bytes integer default 16777216, out digest bytea, out data bytea, out is_refused boolean)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    after_key :session_key_base_type;
    last_key :session_key_base_type;
    -- Without older links, the indexes alone show what is linked.
    older_than timestamptz := session_reaper.older_links();
    session record;
    bytes bigint := 0;
begin
    select p.after_key, p.to_key into strict after_key, last_key from session_reaper.page p where p.id = page_id;
    for session in
        select s.:"session_key" as session_key, :raw_data as raw
        from (
            -- Uses only the two indexes, side by side: if nearly all sessions are linked, hardly any data are read.
            select k.:"session_key" as session_key
            from :"session_schema".:"session_table" k
            where (after_key is null or k.:"session_key" > after_key) and k.:"session_key" <= last_key
              and not exists (
                select
                from session_reaper.user_session l
                where l.session_key = k.:"session_key"
                  and (older_than is null or not l.from_data or l.linked_at >= older_than)
                  and (after_key is null or l.session_key > after_key) and l.session_key <= last_key)
            offset 0
        ) n
        cross join lateral (
            select d.* from :"session_schema".:"session_table" d where d.:"session_key" = n.session_key offset 0) s
        -- As a hash table that holds only this page's sessions: far more may be waiting than a page has.
        where (n.session_key in (
            select u.session_key
            from session_reaper.drain q
            cross join lateral session_reaper.pending_since(q.drained_to) u
            where (after_key is null or u.session_key > after_key) and u.session_key <= last_key)) is not true
        order by s.:"session_key"
    loop
        digest := session_reaper.key_digest(session.session_key);
        select d.data, d.is_refused into data, is_refused from session_reaper.data_of(session.raw) d;
        return next;
        bytes := bytes + coalesce(pg_catalog.octet_length(data), 0);
        if bytes >= most_bytes and session.session_key < last_key then
            insert into session_reaper.page (after_key, to_key) values (session.session_key, last_key);
            update session_reaper.page p set to_key = session.session_key where p.id = page_id;
            exit;
        end if;
    end loop;
end
$$;

comment on function session_reaper.page(bigint, integer) is
    'The data of those sessions of the claimed page whose links do not tell whose they are, up to "most_bytes", at least one session.';

-- A link goes only if the session still has the data that were read; otherwise a user who has logged in since would lose
-- the new link. "seen" are digests of the data. These sessions cannot be saved now until the commit; sessions that another
-- transaction holds are skipped, not waited for (P6).
create or replace function session_reaper.unlink_unchanged(keys :session_key_base_type[], seen bytea[])
returns :session_key_base_type[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    freed :session_key_base_type[];
begin
    freed := array(
        select s.:"session_key"
        from rows from (pg_catalog.unnest(keys), pg_catalog.unnest(unlink_unchanged.seen)) as c (session_key, seen)
        join :"session_schema".:"session_table" s on s.:"session_key" = c.session_key
        where pg_catalog.sha256((session_reaper.data_of(:raw_data)).data) is not distinct from c.seen
        order by s.:"session_key"
        for no key update of s skip locked);
    freed := array(
        select l.session_key from session_reaper.user_session l
        where l.session_key = any (freed) and l.from_data
        order by l.session_key
        for update skip locked);
    delete from session_reaper.user_session l where l.session_key = any (freed);
    return freed;
end
$$;

comment on function session_reaper.unlink_unchanged(:session_key_base_type[], bytea[]) is
    'Removes those links of these sessions that were read, if the data still have these digests and no lock is in the way; returns their keys.';

create or replace function session_reaper.read_later(keys :session_key_base_type[], begun_at timestamptz, snapshot pg_snapshot)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into session_reaper.pending_link (session_key, was_there, xid, begun_at, snapshot)
    select k.session_key, true, '0', read_later.begun_at, read_later.snapshot from pg_catalog.unnest(keys) as k (session_key)
$$;

comment on function session_reaper.read_later(:session_key_base_type[], timestamptz, pg_snapshot) is
    'Notes sessions of a page that were locked, as old as the others of the page. For link_page() only.';

-- The users that were found, where they differ from the links. For an older link that names another user, the digest of
-- what was read is returned, too: the session must still have those data when that link goes.
create or replace function session_reaper.news_of_page(
    page_id bigint, digests bytea[], user_texts bytea[], seen bytea[],
    out keys :session_key_base_type[], out user_ids :user_key_type[],
    out changed_keys :session_key_base_type[], out changed_users :user_key_type[], out changed_seen bytea[])
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    after_key :session_key_base_type;
    last_key :session_key_base_type;
    -- Kept in a variable: asking for each of a million sessions would take long.
    older_than timestamptz := session_reaper.older_links();
begin
    select p.after_key, p.to_key into strict after_key, last_key from session_reaper.page p where p.id = page_id;
    select pg_catalog.array_agg(f.session_key) filter (where not f.is_linked and f.user_id is not null),
        pg_catalog.array_agg(f.user_id) filter (where not f.is_linked and f.user_id is not null),
        pg_catalog.array_agg(f.session_key) filter (where f.is_linked),
        pg_catalog.array_agg(f.user_id) filter (where f.is_linked),
        pg_catalog.array_agg(f.seen) filter (where f.is_linked)
        into keys, user_ids, changed_keys, changed_users, changed_seen
        from (
            select s.:"session_key" as session_key, r.user_id, r.seen, l.user_id is not null as is_linked
            from rows from (
                pg_catalog.unnest(digests), pg_catalog.unnest(user_texts),
                pg_catalog.unnest(session_reaper.as_user_keys(user_texts)), pg_catalog.unnest(news_of_page.seen)
            ) as r (digest, user_text, user_id, seen)
            join :"session_schema".:"session_table" s on session_reaper.key_digest(s.:"session_key") = r.digest
            left join lateral (
                -- By the key: old statistics would have all links looked through by another index.
                select o.user_id from session_reaper.user_session o
                where older_than is not null and o.session_key = s.:"session_key" and o.from_data and o.linked_at < older_than
                offset 0) l on true
            where (after_key is null or s.:"session_key" > after_key) and s.:"session_key" <= last_key
              -- The result must be known, and differ from the link.
              and (r.user_id is not null or r.user_text is null)
              and l.user_id is distinct from r.user_id
        ) f;
end
$$;

comment on function session_reaper.news_of_page(bigint, bytea[], bytea[], bytea[]) is
    'Of what was found in these sessions of a page: those without a link, and those whose older link names another user. For link_page() only.';

-- Links what was found in that page, with the greatest possible age, because it is not known when these users logged in. A
-- link that was read before and names another user goes, and so does one of a session that has no user now. A link of the
-- same user stays as it is, because its age is known (P2).
create or replace function session_reaper.link_page(
    page_id bigint, digests bytea[], user_texts bytea[], seen bytea[], out linked bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    oldest record;
    busy :session_key_base_type[] := '{}';
    keys :session_key_base_type[];
    user_ids :user_key_type[];
    changed_keys :session_key_base_type[];
    changed_users :user_key_type[];
    changed_seen bytea[];
    freed :session_key_base_type[];
begin
    linked := 0;
    select p.id into strict page_id from session_reaper.page p where p.id = page_id and not p.done for update;
    select a.begun_at, a.snapshot into oldest from session_reaper.least_age() a;
    if pg_catalog.cardinality(digests) > 0 then
        select n.* into keys, user_ids, changed_keys, changed_users, changed_seen
            from session_reaper.news_of_page(page_id, digests, user_texts, link_page.seen) n;
    end if;
    if changed_keys is not null then
        freed := session_reaper.unlink_unchanged(changed_keys, changed_seen);
        select pg_catalog.array_agg(c.session_key) filter (where c.session_key <> all (freed)),
            keys || pg_catalog.array_agg(c.session_key) filter (where c.session_key = any (freed) and c.user_id is not null),
            user_ids || pg_catalog.array_agg(c.user_id) filter (where c.session_key = any (freed) and c.user_id is not null)
            into busy, keys, user_ids
            from rows from (pg_catalog.unnest(changed_keys), pg_catalog.unnest(changed_users)) as c (session_key, user_id);
        perform session_reaper.read_later(busy, oldest.begun_at, oldest.snapshot);
    end if;
    if keys is not null then
        select f.linked, f.busy into linked, busy
            from session_reaper.link_found(
                keys, user_ids,
                pg_catalog.array_fill('0'::xid8, array[pg_catalog.cardinality(keys)]),
                pg_catalog.array_fill(oldest.begun_at, array[pg_catalog.cardinality(keys)]),
                pg_catalog.array_fill(oldest.snapshot, array[pg_catalog.cardinality(keys)])) f;
        perform session_reaper.read_later(busy, oldest.begun_at, oldest.snapshot);
    end if;
end
$$;

comment on function session_reaper.link_page(bigint, bytea[], bytea[], bytea[]) is
    'Links these sessions of the page that claim_page() took, and unlinks those in which no user was found (no text); returns how many it linked.';

-- A failure on one of these sessions fails no statement, which would put it into the server's log: the caller halves the
-- batch.
create or replace function session_reaper.try_link_page(
    page_id bigint, digests bytea[], user_texts bytea[], seen bytea[], out linked bigint, out is_refused boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    is_refused := false;
    linked := session_reaper.link_page(page_id, digests, user_texts, seen);
exception when others or assert_failure then
    if not session_reaper.is_of_the_row(sqlstate) then
        raise;
    end if;
    is_refused := true;
end
$$;

comment on function session_reaper.try_link_page(bigint, bytea[], bytea[], bytea[]) is
    'link_page(); "is_refused" if it fails on the content of one of these sessions.';

create or replace function session_reaper.finish_page(page_id bigint, linked bigint, out sessions bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set row_security = off
as $$
#variable_conflict use_variable
declare
    after_key :session_key_base_type;
    last_key :session_key_base_type;
begin
    select p.after_key, p.to_key into strict after_key, last_key from session_reaper.page p where p.id = page_id;
    select pg_catalog.count(*) into sessions
        from :"session_schema".:"session_table" s
        where (after_key is null or s.:"session_key" > after_key) and s.:"session_key" <= last_key;
    update session_reaper.page p
    set done = true, sessions = finish_page.sessions, linked = finish_page.linked
    where p.id = page_id;
end
$$;

comment on function session_reaper.finish_page(bigint, bigint) is
    'Notes that this page has been read and how many of its sessions were linked; returns how many it had, linked or not.';
