-- What the site's clients call and what is looked at, with nothing behind it: the site as it is without session-reaper.
create schema session_reaper;
create table session_reaper.change (id bigint, xid xid8, served boolean);
create table session_reaper.revocation (id bigint, change_id bigint, user_id integer, scope text, reason text, state text);
create table session_reaper.backfill (complete boolean not null);
insert into session_reaper.backfill values (true);
create table session_reaper.user_session (
    session_key varchar(40) primary key, user_id integer not null, credential_version text);
create function session_reaper.credential_version(integer) returns text language sql stable return null::text;
create function session_reaper.link_session(varchar, integer, text) returns boolean language sql return true;
create function session_reaper.revoke_user(integer, text default null, text default null) returns bigint
    language sql return null::bigint;
create function session_reaper.revoke_session(varchar) returns bigint language sql return null::bigint;
create function session_reaper.revoke_all(text, text) returns bigint language sql return null::bigint;
