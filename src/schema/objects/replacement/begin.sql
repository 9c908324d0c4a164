begin;
-- In the order in which whoever empties the queue takes them. Until this is over nobody takes anything off the queue, so
-- that it tells of every session that has changed hands since; nobody cuts pages, and no revocation settles (P1).
select from session_reaper.drain for update;
-- What is built leaves out what it cannot be sure of. The pages find that, from the first one again.
update session_reaper.backfill t set sessions = 0, linked = 0, reached = null;
delete from session_reaper.page p where p.id = any (array(
    select f.id from session_reaper.page f for update skip locked));
