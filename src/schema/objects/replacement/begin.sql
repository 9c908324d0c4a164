begin;
-- Locked in the same order as when a daemon empties the queue. Until this is over no daemon takes anything off the queue,
-- so that it shows every session that has changed hands since; no daemon cuts pages, and no revocation settles (P1).
select from session_reaper.drain for update;
-- The table that is built leaves out uncertain sessions. The pages find these, starting again from the first.
update session_reaper.backfill t set sessions = 0, linked = 0, reached = null;
delete from session_reaper.page p where p.id = any (array(
    select f.id from session_reaper.page f for update skip locked));
