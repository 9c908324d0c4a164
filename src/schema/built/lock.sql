-- What was built is older than every change, also than those that have settled (P1). Before anybody has to wait.
update session_reaper.revocation r
set state = 'requested', horizon_id = null, settled_at = null, next_attempt_at = '-infinity', attempts = 0
where r.state = 'settled'
  and (r.scope = 'all' and exists (select from session_reaper.user_session_built)
    or r.scope = 'user' and exists (select from session_reaper.user_session_built b where b.user_id = r.user_id));

-- In the order in which whoever deletes a session comes by: the cascade to the older table is first.
lock table session_reaper.user_session in access exclusive mode;
lock table session_reaper.user_session_built in access exclusive mode;
