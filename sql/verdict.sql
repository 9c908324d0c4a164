-- The age rule (P1, P2): which sessions a change ends. It is defined only here; every statement that ends a session uses
-- it.

-- A session is older than a change unless its login began after the change had committed. Visibility decides first, because
-- it is exact. The clock decides only if a transaction saw the change although it had begun before, and so may have read
-- the old password. Once every transaction that was running at the change has ended, the clock does not decide about later
-- ones: it may have been set back since (P2).
create or replace function session_reaper.is_older(
    link_xid xid8, link_begun_at timestamptz, link_snapshot pg_snapshot,
    change_xid xid8, change_begun_at timestamptz, change_at timestamptz, change_newer_from xid8, policy text)
returns boolean
language sql
stable
parallel safe
return case
    -- The changing transaction opened it: Django's PasswordChangeView under ATOMIC_REQUESTS cycles the
    -- session key after saving the user. Transaction ids restart after a restore, so the time must agree.
    when link_xid = change_xid and link_begun_at = change_begun_at then policy = 'all'
    -- The login could not see the change, so it verified an older password, whatever any clock says.
    -- A change whose id lies in the future of this server came with a dump from another one: there the clock decides.
    when not pg_catalog.pg_visible_in_snapshot(change_xid, link_snapshot)
        and (pg_catalog.pg_visible_in_snapshot(change_xid, pg_catalog.pg_current_snapshot())
            or change_xid = pg_catalog.pg_current_xact_id_if_assigned()) then true
    -- Its transaction was not running at the change.
    when link_xid >= change_newer_from then false
    -- It saw the change eventually, but may have read the password before. A change without a stamp (its trigger was
    -- switched off) counts as the latest possible one: fail closed.
    else link_begun_at <= coalesce(change_at, 'infinity'::timestamptz)
end;

comment on function session_reaper.is_older(xid8, timestamptz, pg_snapshot, xid8, timestamptz, timestamptz, xid8, text) is
    'Whether a change ends a session: the age rule. The link''s transaction, then the change''s.';

-- An app may give the key or its SHA-256 to keep a session, so that no statement log needs to hold a key. Whichever it gave
-- is hashed, so that our table never holds a key either (P7). A key of raw bytes is given in hex; as text it would depend
-- on bytea_output.
create or replace function session_reaper.keep_digest(keep_session text)
returns text
language sql
immutable
parallel safe
return pg_catalog.encode(pg_catalog.sha256(:keep_session_bytes), 'hex');

comment on function session_reaper.keep_digest(text) is
    'The revocation.keep_digest of a request to keep a session by this text.';

create or replace function session_reaper.keep_digests(session_key :session_key_base_type)
returns text[]
language sql
immutable
parallel safe
return array[
    session_reaper.keep_digest(:session_key_text),
    session_reaper.keep_digest(pg_catalog.encode(pg_catalog.sha256(:session_key_bytes), 'hex'))];

comment on function session_reaper.keep_digests(:session_key_base_type) is
    'The possible values of revocation.keep_digest for a request to keep this session: by its key or by its key''s SHA-256.';

create or replace function session_reaper.is_kept(session_key :session_key_base_type, keep_digest text, policy text)
returns boolean
language sql
immutable
parallel safe
return policy = 'others' and keep_digest is not null and keep_digest = any (session_reaper.keep_digests(session_key));

comment on function session_reaper.is_kept(:session_key_base_type, text, text) is
    'Whether the app asked to keep this session: keep_digest is the SHA-256 of its key, or of its key''s SHA-256.';

-- In PostgreSQL's text of a snapshot, a transaction's own id counts as yet to come or, once a later one has ended, as done.
-- If more than 10,000 ids have been given out since, it stays yet to come: older than the change (P1).
create or replace function session_reaper.seen_with(seen pg_snapshot, own xid8, is_done boolean)
returns pg_snapshot
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when is_done = pg_catalog.pg_visible_in_snapshot(own, seen) or n.number - n.xmax > 10000 then seen
        else pg_catalog.format('%s:%s:%s',
            least(n.xmin, n.number), case when is_done then n.number + 1 else n.xmax end, (
                select pg_catalog.string_agg(r.xid::text, ',' order by r.xid)
                from (
                    select x::text::bigint as xid from pg_catalog.pg_snapshot_xip(seen) x
                    union all
                    select g from pg_catalog.generate_series(n.xmax, n.number - 1) g where is_done
                    union all
                    select n.number where not is_done
                ) r))::pg_snapshot end
    from (
        select own::text::bigint as number,
            pg_catalog.pg_snapshot_xmin(seen)::text::bigint as xmin,
            pg_catalog.pg_snapshot_xmax(seen)::text::bigint as xmax) n
$$;

comment on function session_reaper.seen_with(pg_snapshot, xid8, boolean) is
    'This snapshot, with this running transaction counted as done or not. For the functions of this schema only.';

-- An app may also give "deleted" as its reason, for something that it watches.
create or replace function session_reaper.is_deletion(scope text, reason text)
returns boolean
language sql
immutable
parallel safe
return scope = 'session' and reason = 'deleted';

comment on function session_reaper.is_deletion(text, text) is
    'Whether a revocation is that of a deleted user: it names the sessions that were the user''s.';

-- A revocation that names a key ends any session under it: the session that was asked for, or one that a request in flight
-- has written back. But once the session has been ended, a link that names another user is no write-back, and neither is a
-- login that is younger than the change (P2). A link that was read does not distinguish a login from a request that began
-- before the change and writes the same user back after it, so it ends within the grace (P1). After the grace the age of
-- the link decides, and where sessions are read, one without a link belongs to no user.
create or replace function session_reaper.is_named(
    is_over boolean, has_ended boolean, of_deleted boolean, is_of_everybody boolean, named_user :user_key_type,
    link_user :user_key_type, link_read boolean, link_is_older boolean)
returns boolean
language sql
immutable
parallel safe
return case
    when link_user is null then not is_over or not :reads
    when link_is_older and (is_of_everybody or named_user is null or link_user = named_user) then true
    when is_over then false
    when has_ended or of_deleted then link_read and (named_user is null or link_user = named_user)
    else true
end;

comment on function session_reaper.is_named(boolean, boolean, boolean, boolean, :user_key_type, :user_key_type, boolean, boolean) is
    'Whether a revocation ends the session under a key that it has named: the key''s grace_over and ended, whether it is a deletion or of everybody, whose session it was, and its current link.';
