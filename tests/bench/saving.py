"""What the triggers cost whoever saves sessions."""

import concurrent.futures
import contextlib
import statistics

from table import show, spread

USERS = 1000
# A session comes with its user at once, as after SessionStore.create() with data.
INSERT = r"""
\set user_id random(1, 1000)
\set key random(1, 9000000000000000)
insert into django_session (session_key, session_data, expire_date)
select md5(cast(:key as bigint)::text), s.data, now() + interval '14 days' from sample s where s.user_id = :user_id;
"""
# The statements that Django sends for it, each as a text of its own, as its driver does by default: is the key free, and
# the row in a transaction. Quoted as Django quotes them, so that the server has as much to read.
AS_DJANGO = r"""
\set key random(1, 9000000000000000)
SELECT 1 AS "a" FROM "django_session" WHERE "django_session"."session_key" = md5(cast(:key as bigint)::text) LIMIT 1;
BEGIN;
INSERT INTO "django_session" ("session_key", "session_data", "expire_date")
VALUES (md5(cast(:key as bigint)::text), '{data}', '2037-01-01T00:00:00+00:00'::timestamptz);
COMMIT;
"""
# What a login does in Django: cycle_key() inserts an empty session, the middleware saves it with the user.
# pgbench would take a colon before a word for a variable of its own.
LOGIN = r"""
\set user_id random(1, 1000)
\set key random(1, 9000000000000000)
insert into django_session (session_key, session_data, expire_date)
values (md5(cast(:key as bigint)::text), concat('e30', chr(58), '1xVeDd', chr(58), 'signature'), now() + interval '14 days');
update django_session set session_data = s.data, expire_date = now() + interval '14 days'
from sample s where s.user_id = :user_id and session_key = md5(cast(:key as bigint)::text);
"""
# What Django does for a session that comes with its user: looks whether the key is free, begins, inserts, commits.
DJANGO = """
import time
from django.contrib.sessions.backends.db import SessionStore
began, sessions = time.monotonic(), 0
while time.monotonic() < began + {seconds}:
    store = SessionStore()
    store.update({{"_auth_user_id": "1", "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
                  "_auth_user_hash": "0" * 64, "_language": "de", "cart": {{"1": 1, "2": 2}}}})
    store.create()
    sessions += 1
print(sessions / (time.monotonic() - began))
"""
CLIENTS = 4
TRIGGERS = ('"A_session_reaper_session_opened"', '"A_session_reaper_session_saved"')


def measure(site, figures, rounds, seconds):
    """What Django itself pays, in the harder case: no commit waits for the disk, which would take its part of the time."""
    _prepare(site)
    site.tables(f"alter database {site.database} set synchronous_commit = off")
    what = "Django itself inserts, synchronous_commit = off, no daemon running"
    figures["login/with"], figures["login/without"] = _compare(site, what, _django(site, seconds), rounds, seconds)


def measure_all(site, rounds, seconds):
    _prepare(site)
    # The triggers are what every save pays; the daemon takes its share of the processors, here the clients' own.
    for reader, around in [("no daemon running", contextlib.nullcontext), ("the daemon reading along", site.daemon)]:
        with around():
            # A commit waits for the disk first, and for nothing then, which is the harder case.
            for synchronous in ("on", "off"):
                site.tables(f"alter database {site.database} set synchronous_commit = {synchronous}")
                how = f"synchronous_commit = {synchronous}, {reader}"
                _compare(site, f"Django itself inserts, {how}", _django(site, seconds), rounds, seconds)
                as_django = _pgbench(site, _as_django(site), seconds, "simple")
                _compare(site, f"Django's statements for an insert, {how}", as_django, rounds, seconds)
                for what, script in [("insert", INSERT), ("login", LOGIN)]:
                    _compare(site, f"{what}, {how}", _pgbench(site, script, seconds), rounds, seconds)


def _prepare(site):
    site.add_users(USERS)
    site.add_samples()
    site.install()


def _as_django(site):
    data = site.value("select s.data from sample s where s.user_id = 4")
    # pgbench would take a colon before a word for a variable of its own, and the signature stands behind two of them.
    return AS_DJANGO.format(data=data.replace(":", "' || chr(58) || '"))


def _pgbench(site, script, seconds, protocol="prepared"):
    return lambda: site.pgbench(script, f"--time={seconds}", f"--protocol={protocol}")[0]


def _django(site, seconds):
    """As many sites as pgbench has clients, each with a connection of its own."""

    def save(_):
        return float(site.manage("shell", "--no-imports", "-c", DJANGO.format(seconds=seconds)))

    def saved():
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as sites:
            return sum(sites.map(save, range(CLIENTS)))

    return saved


def _compare(site, what, load, rounds, seconds):
    with_triggers, without, ratios = [], [], []
    _round(site, load, "enable")
    for number in range(rounds):
        # Who begins changes, so that neither always has the warmer or the larger table.
        order = ("enable", "disable") if number % 2 else ("disable", "enable")
        found = {state: _round(site, load, state) for state in order}
        with_triggers.append(found["enable"])
        without.append(found["disable"])
        ratios.append(found["enable"] / found["disable"])
    # A daemon refuses to start without them.
    _switch(site, "enable")
    show(
        f"Saving sessions: {what}; {CLIENTS} clients, {rounds} rounds of {seconds} s each way",
        [
            ("", "transactions a second: median (least - most)"),
            ("with the triggers", spread(with_triggers)),
            ("without", spread(without)),
            ("ratio of pairs", spread(ratios, 2)),
            ("ratio of medians", f"{statistics.median(with_triggers) / statistics.median(without):.2f}"),
        ],
    )
    return with_triggers, without


def _round(site, load, state):
    site.tables("truncate django_session cascade", "truncate session_reaper.pending_link")
    _switch(site, state)
    site.tables("checkpoint")
    return load()


def _switch(site, state):
    site.tables(*(f"alter table django_session {state} trigger {trigger}" for trigger in TRIGGERS))
