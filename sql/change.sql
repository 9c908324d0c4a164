-- Asking for sessions to end: one change row a transaction, one revocation row a user.

create or replace function session_reaper.request(
    for_scope text, for_user :user_key_type, why text, under_policy text, keep_session text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    revocation bigint;
    -- Any role can set this to anything; all it gains is a place in the queue.
    asked integer := case
        when pg_catalog.current_setting('session_reaper.asked', true) ~ '^[0-9]{1,8}$'
            then pg_catalog.current_setting('session_reaper.asked', true)::integer
        else 0 end;
begin
    -- Every user after the first of a bulk change pays for this one statement only.
    insert into session_reaper.revocation (change_id, scope, user_id, reason, policy, keep_digest, place)
    select c.id, for_scope, for_user, why, under_policy,
        session_reaper.keep_digest(nullif(keep_session, '')),
        asked / 50 + (
            select pg_catalog.count(*)
            from (
                select from session_reaper.revocation u
                where u.user_id = for_user and u.scope = for_scope and u.changed_at is null
                limit 100) w)
    from session_reaper.change c
    where c.xid = pg_catalog.pg_current_xact_id() and c.begun_at = pg_catalog.now()
    returning id into revocation;
    if revocation is null then
        insert into session_reaper.change default values;
        return session_reaper.request(for_scope, for_user, why, under_policy, keep_session);
    end if;
    perform pg_catalog.set_config('session_reaper.asked', (asked + 1)::text, true);
    return revocation;
end
$$;

comment on function session_reaper.request(text, :user_key_type, text, text, text) is
    'Writes a revocation and, if this transaction has none yet, its change. Returns the revocation''s number.';

-- Deferred to the commit, and there to the end of the queue, because a stamp that is earlier than the commit keeps sessions
-- whose login read the old password in between: in a bulk reset, one stamp per row spread over seconds. SET CONSTRAINTS ALL
-- IMMEDIATE, which Django's check_constraints() issues, fires it early, so it makes itself deferred again. An update queues
-- it anew behind whatever else is deferred. Three times in the message that commits are enough to be the last, and the
-- trigger's WHEN ends it there. A message that makes constraints immediate, or in which other code has called us, may go on
-- after the stamp, so the limit there is a hundred times.
create or replace function session_reaper.stamp_change()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    served_now boolean;
    context text;
    early boolean;
begin
    get diagnostics context = pg_context;
    early := context like E'%\n%' or current_query() ~* 'set\s+constraints';
    set constraints session_reaper.stamp_change deferred;
    served_now := session_reaper.act_on_change(
        new.id, new.served, new.stamped_in is distinct from pg_catalog.statement_timestamp());
    update session_reaper.change c
    set served = served_now,
        stamps = case
            when c.stamped_in = pg_catalog.statement_timestamp() then c.stamps + 1
            when early then -97
            else 1 end,
        stamped_in = pg_catalog.statement_timestamp(),
        at = session_reaper.latest_time()
    where c.id = new.id;
    return null;
end
$$;

comment on function session_reaper.stamp_change() is
    'Stamps a change as late as the database allows, tells the daemon, and ends sessions itself where there is no daemon.';

-- The notification only means "look"; polling finds the same work without it. Left out where it would make the app's commit
-- fail: PREPARE TRANSACTION refuses a transaction that has notified, and so does a full queue.
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

-- The change and its revocations are rows by now, so a failure here must not fail the commit. It is noted on one revocation
-- only: a bulk change has hundreds of thousands.
create or replace function session_reaper.act_on_change(of_change bigint, served_before boolean, is_new_message boolean)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    served_now boolean := served_before;
begin
    if served_now is null then
        perform session_reaper.announce();
    end if;
    -- Once per message: the daemon may have gone since an earlier one (P4).
    if served_now is null or served_now and is_new_message then
        served_now := session_reaper.is_served();
    end if;
    -- In the middle of the site's migration a table may be missing: the change waits.
    if not served_now and not session_reaper.is_paused() then
        perform session_reaper.end_inline(of_change);
    end if;
    return served_now;
exception when others or assert_failure then
    update session_reaper.revocation r
    set last_error = sqlstate
    where r.id = (select f.id from session_reaper.revocation f where f.change_id = of_change order by f.id limit 1);
    return served_now;
end
$$;

comment on function session_reaper.act_on_change(bigint, boolean, boolean) is
    'Tells the daemon of a change, or ends the sessions itself where there is no daemon. Returns whether there is one; never fails the change.';

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
