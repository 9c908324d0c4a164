"""What the triggers cost whoever saves sessions."""

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
TRIGGERS = ('"A_session_reaper_session_opened"', '"A_session_reaper_session_saved"')


def measure(site, rounds, seconds):
    site.add_users(USERS)
    site.add_samples()
    site.install()
    # The triggers are what every save pays; the daemon takes its share of the processors, here the clients' own.
    for reader, around in [("no daemon running", contextlib.nullcontext), ("the daemon reading along", site.daemon)]:
        with around():
            for what, script in [("insert", INSERT), ("login", LOGIN)]:
                # The settings of a site on a disk, and the harder case, in which a commit waits for nothing.
                for synchronous in ("on", "off"):
                    site.tables(f"alter database {site.database} set synchronous_commit = {synchronous}")
                    what_is_on = f"{what}, synchronous_commit = {synchronous}, {reader}"
                    _compare(site, what_is_on, script, rounds, seconds)


def _compare(site, what, script, rounds, seconds):
    with_triggers, without, ratios = [], [], []
    _round(site, script, "enable", 1)
    for number in range(rounds):
        # Who begins changes, so that neither always has the warmer or the larger table.
        order = ("enable", "disable") if number % 2 else ("disable", "enable")
        found = {state: _round(site, script, state, seconds) for state in order}
        with_triggers.append(found["enable"])
        without.append(found["disable"])
        ratios.append(found["enable"] / found["disable"])
    show(
        f"Saving sessions: {what}; 4 clients, {rounds} rounds of {seconds} s each way",
        [
            ("", "transactions a second: median (least - most)"),
            ("with the triggers", spread(with_triggers)),
            ("without", spread(without)),
            ("ratio of pairs", spread(ratios, 2)),
            ("ratio of medians", f"{statistics.median(with_triggers) / statistics.median(without):.2f}"),
        ],
    )


def _round(site, script, state, seconds):
    site.tables(
        "truncate django_session cascade",
        "truncate session_reaper.unread",
        *(f"alter table django_session {state} trigger {trigger}" for trigger in TRIGGERS),
        "checkpoint",
    )
    return site.pgbench(script, f"--time={seconds}")[0]
