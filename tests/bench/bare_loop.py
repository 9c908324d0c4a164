"""The daemon that one would write by hand in an afternoon, written well: it listens, and ends with one statement what waits.

It keeps no promise beyond "older rows that it sees go": no horizon, no age rule, no queue of pending links, no failures.
"""

import sys

import psycopg

BATCH_ROWS = 10_000
# The same for every contender but session-reaper.
LINK_TABLE = """
create table plain_link (
    session_key varchar(40) primary key references django_session (session_key) on delete cascade,
    user_id integer not null references auth_user (id) on delete cascade);
create index on plain_link (user_id);
"""
TABLES = """
create table outbox (id bigint generated always as identity primary key, user_id integer not null);
create function note_change() returns trigger language plpgsql as $$
begin
    insert into outbox (user_id) values (new.id);
    notify bare;
    return null;
end $$;
create trigger note_change after update of password on auth_user
    for each row when (old.password is distinct from new.password) execute function note_change();
"""
LINK = "insert into plain_link select session_key, (regexp_match(session_key, '-([0-9]+)-'))[1]::integer from django_session"
STATEMENT = """
delete from django_session s using plain_link l where l.user_id = any(%s) and s.session_key = l.session_key
"""
END = f"""
with taken as materialized (
    delete from outbox where id = any (array(
        select id from outbox order by id limit {BATCH_ROWS} for update skip locked))
    returning user_id
), ended as (
    delete from django_session s
    using plain_link l
    where l.user_id = any (array(select user_id from taken)) and s.session_key = l.session_key
)
select count(*) from taken
"""
# As session-reaper does, and for the same reason: what a crash loses is asked for again.
SETTINGS = "-c synchronous_commit=off"


def run(url):
    with psycopg.connect(url, autocommit=True, options=SETTINGS) as listening:
        working = psycopg.connect(url, autocommit=True, options=SETTINGS, prepare_threshold=0)
        listening.execute("listen bare")
        print("listening", flush=True)
        while True:
            while working.execute(END).fetchone()[0] > 0:
                pass
            for _ in listening.notifies(timeout=5, stop_after=1):
                pass


if __name__ == "__main__":
    run(sys.argv[1])
