-- If a session was deleted and opened anew under the same key, before the foreign key could delete its link, its user has
-- just logged in (P2): the queue tells when. A session that was only saved has been its user's for longer.
delete from session_reaper.user_session_built b
where b.session_key = any (array(
    select u.session_key
    from session_reaper.drain q
    cross join lateral session_reaper.pending_since(q.drained_to) u
    where not u.was_there));
analyze session_reaper.user_session_built
