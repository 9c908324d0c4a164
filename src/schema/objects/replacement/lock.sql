-- In the order in which deleting a session locks them: the cascade to the older table is first.
lock table session_reaper.user_session in access exclusive mode;
lock table session_reaper.user_session_built in access exclusive mode;

-- Sessions of deleted users whose keys other users have now.
insert into session_reaper.revoked_key as k (revocation_id, session_key, from_data)
select r.id, b.session_key, true
from session_reaper.revocation r
join session_reaper.user_session_built b on b.user_id = r.user_id
join session_reaper.change c on c.id = r.change_id
where session_reaper.is_deletion(r.scope, r.reason)
  and session_reaper.is_older(b.xid, b.begun_at, b.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
on conflict on constraint revoked_key_pkey do update set grace_over = false where k.grace_over;

-- The links that were built are as old as least_age() gives, and may be older than changes that have settled (P1). Done
-- under the lock on the links: otherwise a transaction could hold a revocation and want the links next (P6).
update session_reaper.revocation r
set :reopened
from session_reaper.change c, session_reaper.least_age() a
where r.state = 'settled'
  and c.id = r.change_id
  and session_reaper.is_older('0', a.begun_at, a.snapshot, c.xid, c.begun_at, c.at, c.newer_from, r.policy)
  and (r.scope = 'all' and exists (select from session_reaper.user_session_built)
    or (r.scope = 'user' or session_reaper.is_deletion(r.scope, r.reason))
        and exists (select from session_reaper.user_session_built b where b.user_id = r.user_id));
