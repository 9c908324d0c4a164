-- Which of a user's many changes decide about a session. However often users change their passwords or ask for their
-- sessions to end, checking one session must cost the same: no batch grows with a history.

-- A session is older than a change that it did not see, or that came after its login had begun (sql/verdict.sql). So
-- every change that can end it was stamped after the login had begun, or made by a transaction that its snapshot may not
-- have seen. The first such change ends it, unless the app has asked to keep the session. This finds only swept
-- revocations: one that has not been swept finds the link itself.
--
-- Each branch of the union implies the condition of one index only, so the planner cannot choose another one. The
-- collation is that of the index; without it, both keys together would decide the collation. This function has no
-- settings, so that PostgreSQL can inline it into the statements that call it.
create or replace function session_reaper.deciding(
    of_user :user_key_type, session_key :session_key_base_type, xid xid8, begun_at timestamptz, seen pg_snapshot)
returns setof bigint
language sql
stable
as $$
    select r.id
    from (
        select u.id from session_reaper.revocation u
        where u.user_id = deciding.of_user :user_key_collation and u.scope = 'user' and u.changed_at >= deciding.begun_at
        union all
        select u.id from session_reaper.revocation u
        where u.user_id = deciding.of_user :user_key_collation and u.scope = 'user'
          and u.changed_in >= pg_catalog.pg_snapshot_xmin(deciding.seen)
          -- For a change that came with a dump and lies in this server's future, only its time decides.
          and u.changed_in < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
        union all
        select e.id from session_reaper.revocation e
        where e.user_id is null and e.scope = 'all' and e.changed_at >= deciding.begun_at
        union all
        select e.id from session_reaper.revocation e
        where e.user_id is null and e.scope = 'all'
          and e.changed_in >= pg_catalog.pg_snapshot_xmin(deciding.seen)
          and e.changed_in < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ) near
    join session_reaper.revocation r on r.id = near.id
    join session_reaper.change c on c.id = r.change_id
    where session_reaper.is_older(deciding.xid, deciding.begun_at, deciding.seen, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
      and not session_reaper.is_kept(deciding.session_key, r.keep_digest, r.policy)
    limit 1
$$;

comment on function session_reaper.deciding(:user_key_type, :session_key_base_type, xid8, timestamptz, pg_snapshot) is
    'A revocation of this user or of everybody, swept at least once, that ends this session; nothing if there is none. For the functions of this schema only.';

-- The deletion of a user with this key. The latest comes first, because it ends whatever was opened before it. There are
-- only as many deletions of a key as users who had it.
create or replace function session_reaper.deletion_of(
    of_user :user_key_type, xid xid8, begun_at timestamptz, seen pg_snapshot)
returns setof bigint
language sql
stable
as $$
    select r.id
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    where r.user_id = deletion_of.of_user and session_reaper.is_deletion(r.scope, r.reason)
      and session_reaper.is_older(deletion_of.xid, deletion_of.begun_at, deletion_of.seen, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
    order by r.id desc
    limit 1
$$;

comment on function session_reaper.deletion_of(:user_key_type, xid8, timestamptz, pg_snapshot) is
    'The latest deletion of a user with this key that ends such a session; nothing if there is none. For the functions of this schema only.';

