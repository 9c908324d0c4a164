"""Expired sessions, linked, deleted beside a steady load: session-reaper beside one plain statement and `clearsessions`."""

import subprocess
import time

import pg_cron
from bench_site import REAPER
from classic import Classic
from steady import Steady
from table import percentile, show, spread

# Without its rests, which is its work, and as it comes.
PURGES = {"work": "0", "rests": "1"}


def measure(sites, figures, expired, rounds, has_cron):
    """In seconds, and what a save takes meanwhile, in milliseconds."""
    if has_cron:
        _by_pg_cron(sites, figures, expired)
    for number in range(rounds):
        _by_the_statement(sites.bare, figures, expired, number)
        _by_clearsessions(sites.bare, figures, expired, number)
        for name, pause_ratio in PURGES.items():
            _by_session_reaper(sites, figures, expired, f"{name}{number}", name, pause_ratio)
    names = [name for name in ("statement", "pg_cron", "clearsessions", *PURGES) if figures[f"purge/{name}"]]
    show(
        f"{expired:,} expired sessions beside a steady load, {rounds} rounds: seconds",
        [(name, spread(figures[f"purge/{name}"], 2)) for name in names],
    )
    rows = [("", "p50", "p99 of a round")]
    for name in ("plain quiet", "statement", "work quiet", "work", "rests quiet", "rests"):
        p50 = percentile(figures[f"load/{name}"], 50)
        rows.append((name, f"{p50:.2f}", spread(figures[f"load p99/{name}"], 2)))
    show("What a save takes meanwhile, ms", rows)


def _by_the_statement(site, figures, expired, number):
    _add_expired(site, "plain_link", expired, f"s{number}")
    with Steady(site) as load:
        load.quiet(figures, "plain quiet")
        begun = time.monotonic()
        gone = site.db.execute("delete from django_session where expire_date < now()").rowcount
        figures["purge/statement"].append(time.monotonic() - begun)
        load.note(figures, "statement", begun)
    assert gone == expired, f"the statement deleted {gone}"


def _by_pg_cron(sites, figures, expired):
    """Once, because it comes round at full minutes only."""
    _add_expired(sites.bare, "plain_link", expired, "cron")
    with Steady(sites.bare):
        figures["purge/pg_cron"].append(pg_cron.delete_expired(sites.looking, sites.bare))


def _by_clearsessions(site, figures, expired, number):
    """Beside a model that refers to sessions, Django loads each one to delete it; a tenth of them tells its speed."""
    part = expired // 10
    _add_expired(site, "plain_link", part, f"c{number}")
    with Classic(site) as classic, Steady(site):
        figures["purge/clearsessions"].append(classic.clear() * expired / part)


def _by_session_reaper(sites, figures, expired, made, name, pause_ratio):
    site = sites.reaped
    _add_expired(site, "session_reaper.user_session", expired, made)
    sites.settle_down()
    environment = site.reaper_environment(SESSION_REAPER_PURGE_PAUSE_RATIO=pause_ratio)
    with Steady(site) as load:
        load.quiet(figures, f"{name} quiet")
        begun = time.monotonic()
        subprocess.run([REAPER, "purge"], env=environment, check=True, capture_output=True)
        figures[f"purge/{name}"].append(time.monotonic() - begun)
        load.note(figures, name, begun)
    left = site.value("select count(*) from django_session where expire_date < now()")
    assert left == 0, f"the purge left {left}"


def _add_expired(site, link, count, name):
    """Linked, and read long ago: no trigger notes them."""
    site.tables(
        "set session_replication_role = replica",
        "insert into django_session (session_key, session_data, expire_date)"
        f" select 'e-{name}-' || left(md5(n::text), 24), 'e30:1xVeDd:x', now() - n * interval '1 second'"
        f" from generate_series(1, {count}) n",
        f"insert into {link} (session_key, user_id) select session_key, 1 + abs(hashtext(session_key)) % 1000"
        " from django_session where expire_date < now()",
        "reset session_replication_role",
        "vacuum analyze django_session",
        f"vacuum analyze {link}",
        "checkpoint",
    )
