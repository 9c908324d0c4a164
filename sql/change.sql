-- Asking for sessions to end: one change row a transaction, one revocation row a user.

create or replace function session_reaper.request(
    for_scope text, for_user :user_key_type, why text, under_policy text, keep_session text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    revocation bigint;
begin
    -- Every user after the first of a bulk change pays for this one statement only.
    insert into session_reaper.revocation (change_id, scope, user_id, reason, policy, keep_digest)
    select c.id, for_scope, for_user, why, under_policy,
        pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(nullif(keep_session, ''), 'UTF8')), 'hex')
    from session_reaper.change c
    where c.xid = pg_catalog.pg_current_xact_id() and c.begun_at = pg_catalog.now()
    returning id into revocation;
    if revocation is null then
        insert into session_reaper.change default values;
        return session_reaper.request(for_scope, for_user, why, under_policy, keep_session);
    end if;
    return revocation;
end
$$;

comment on function session_reaper.request(text, :user_key_type, text, text, text) is
    'Writes a revocation and, if this transaction has none yet, its change. Returns the revocation''s number.';

-- Deferred to the commit, and there to the end of the queue, because a stamp that is earlier than the commit
-- keeps sessions whose login read the old password in between: a stamp a row spread over seconds in a
-- bulk reset. SET CONSTRAINTS ALL IMMEDIATE, which Django's check_constraints() issues, fires it early, so it
-- makes itself deferred again. An update queues it anew behind whatever else is deferred; three times
-- in the message that commits are enough to be the last, and the trigger's WHEN ends it there. A message that
-- makes constraints immediate, or in which other code has called us, may go on after it: there a hundred times.
create or replace function session_reaper.stamp_change()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    served_now boolean := new.served;
    context text;
    early boolean;
begin
    get diagnostics context = pg_context;
    early := context like E'%\n%' or current_query() ~* 'set\s+constraints';
    set constraints session_reaper.stamp_change deferred;
    if served_now is null then
        perform session_reaper.announce();
    end if;
    -- Once a message: the daemon may have gone since an earlier one (P4).
    if served_now is null or served_now and new.stamped_in is distinct from pg_catalog.statement_timestamp() then
        served_now := session_reaper.is_served();
    end if;
    -- In the middle of the site's migration a table may be missing: the change must not fail for that, and waits.
    if not served_now and not session_reaper.is_paused() then
        perform session_reaper.end_inline(new.id);
    end if;
    update session_reaper.change c
    set served = served_now,
        stamps = case
            when c.stamped_in = pg_catalog.statement_timestamp() then c.stamps + 1
            when early then -97
            else 1 end,
        stamped_in = pg_catalog.statement_timestamp(),
        at = pg_catalog.clock_timestamp()
    where c.id = new.id;
    return null;
end
$$;

comment on function session_reaper.stamp_change() is
    'Stamps a change as late as the database allows, tells the daemon, and ends sessions itself where there is no daemon.';

-- The notification says only "look"; polling finds what it would have told. Left out where it would make the
-- app's commit fail: PREPARE TRANSACTION refuses a transaction that has notified, and so does a full queue.
create or replace function session_reaper.announce()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_catalog.current_setting('max_prepared_transactions')::integer = 0
        and pg_catalog.pg_notification_queue_usage() < 0.5
    then
        perform pg_catalog.pg_notify('session_reaper', '');
    end if;
end
$$;

comment on function session_reaper.announce() is 'NOTIFY session_reaper, where it cannot fail the commit.';

do $$
begin
    if not exists (
        select from pg_catalog.pg_trigger t
        where t.tgrelid = 'session_reaper.change'::pg_catalog.regclass and t.tgname = 'stamp_change')
    then
        create constraint trigger stamp_change
            after insert or update on session_reaper.change
            deferrable initially deferred
            for each row
            when (new.stamps < 3)
            execute function session_reaper.stamp_change();
    end if;
end
$$;
