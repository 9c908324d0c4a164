"""What linking and ending sessions cost, each thing beside its alternatives in the same run: `make bench`.

Ratios are worth more than figures here: the machine is the same for all sides, and they take turns.
"""

import argparse
import collections
import contextlib
import pathlib
import sys
import tempfile
import time
import traceback

# The server, the site and the daemon are those of the end-to-end tests.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "django" / "end_to_end"))

import aims  # noqa: E402
import bulk  # noqa: E402
import contenders  # noqa: E402
import drain  # noqa: E402
import growth  # noqa: E402
import idle  # noqa: E402
import linking_all  # noqa: E402
import pg_cron  # noqa: E402
import purging  # noqa: E402
import saving  # noqa: E402
import single  # noqa: E402
from bench_site import BenchSite  # noqa: E402
from postgres import Server  # noqa: E402
from record import surroundings, write  # noqa: E402
from sites import Sites  # noqa: E402

# As `initdb` sets a server up but for these: a commit waits for the disk, which the tests' server does not do.
SETTINGS = {"fsync": "on", "max_wal_size": "4GB"}
# What vacuums by itself does so beside one contender and not the other.
QUIET_SETTINGS = SETTINGS | {"autovacuum": "off", "shared_buffers": "512MB"}
# Counts the statements of an idle daemon.
COUNTING = "pg_stat_statements"
# After so many no further part begins, so that the whole is done in a quarter of an hour.
MINUTES = 10
# Beside others, in databases with the same users. Everybody's share of the users is a part of all that there are.
BESIDE = {
    "single": lambda sites, figures, asked: single.measure(sites, figures, min(sites.users // 100, 200)),
    "bulk": lambda sites, figures, asked: bulk.measure(sites, figures, sites.users // 10, min(asked.rounds, 3)),
    "paid": lambda sites, figures, asked: bulk.what_the_app_pays(
        sites, figures, sites.users // 2, min(asked.rounds, 2)
    ),
    "purge": lambda sites, figures, asked: purging.measure(
        sites, figures, sites.users * 3, min(asked.rounds, 2), asked.cron
    ),
    "idle": lambda sites, figures, asked: idle.measure(sites, figures, asked.idle_seconds),
}
# Each in a database of its own.
ALONE = {
    "login": lambda site, figures, asked: saving.measure(site, figures, asked.rounds, asked.seconds),
    "growth": lambda site, figures, asked: growth.measure(
        site, figures, (growth.FULL if asked.full else growth.SHORT).scaled(asked.scale)
    ),
    "link": lambda site, figures, asked: linking_all.measure(site, figures, asked.sessions),
}
# Only where there is time.
FULL = {
    "saving": lambda site, figures, asked: saving.measure_all(site, asked.rounds, asked.seconds),
    "drain": lambda site, figures, asked: drain.measure(site, asked.drain_seconds),
}


def main():
    asked = options()
    figures = collections.defaultdict(list)
    began = time.monotonic()
    around = surroundings()
    print(around)
    wanted = set(asked.only or [*BESIDE, *ALONE, *(FULL if asked.full else [])])
    if wanted & set(BESIDE):
        with server_with_everything(asked) as (server, directory):
            measure_beside(server, directory, figures, asked, wanted)
    for name, measure in (ALONE | FULL).items():
        if name in wanted and (asked.full or time.monotonic() < began + MINUTES * 60):
            measure_alone(name, measure, figures, asked)
        elif name in wanted:
            print(f"\n{name} is not measured: it took {MINUTES} minutes to come here")
    table = aims.print_table(figures)
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if asked.json:
        write(asked.json, around, figures, table)


def options():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--full", action="store_true", help="larger sizes, and every kind of save: an hour or more")
    asked.add_argument("--only", nargs="+", choices=[*BESIDE, *ALONE, *FULL])
    asked.add_argument("--users", type=int, default=100_000, help="with three sessions each, for what is ended")
    asked.add_argument("--rounds", type=int, default=4, help="rounds of each load, at the most")
    asked.add_argument("--seconds", type=int, default=3, help="length of a round of saves")
    asked.add_argument("--sessions", type=int, default=1_000_000, help="that are linked")
    asked.add_argument("--scale", type=float, default=1, help="of the sizes of what grows, such as 0.1")
    asked.add_argument("--drain-seconds", type=int, default=30)
    asked.add_argument("--idle-seconds", type=int, default=60)
    asked.add_argument("--json", type=pathlib.Path, help="where every figure goes, too")
    return asked.parse_args()


@contextlib.contextmanager
def server_with(settings):
    with contextlib.ExitStack() as leaving:
        directory = pathlib.Path(leaving.enter_context(tempfile.TemporaryDirectory()))
        server = Server(settings)
        leaving.callback(server.stop)
        with server.connect("postgres") as connection:
            version = connection.execute("show server_version").fetchone()[0]
        print(f"\nPostgreSQL {version}, settings beside the defaults: {settings}", flush=True)
        yield server, directory


@contextlib.contextmanager
def server_with_everything(asked):
    """Also with pg_cron, where it is to be had."""
    with contextlib.ExitStack() as leaving:
        place = pathlib.Path(leaving.enter_context(tempfile.TemporaryDirectory()))
        asked.cron = leaving.enter_context(pg_cron.prepared(place))
        settings = QUIET_SETTINGS | {"shared_preload_libraries": COUNTING}
        if asked.cron:
            settings |= pg_cron.SETTINGS | {"shared_preload_libraries": f"{COUNTING},pg_cron"}
        yield leaving.enter_context(server_with(settings))


def measure_beside(server, directory, figures, asked, wanted):
    with server.connect("postgres") as connection:
        connection.execute("create extension pg_stat_statements")
    found, missing = contenders.to_be_had()
    if not asked.cron:
        missing["pg_cron"] = "its package is not unpacked (tests/install bench)"
    for each in found:
        print(f"{each.label}: {each.settings}")
    for label, why in missing.items():
        print(f"{label} is not measured: {why}")
    with Sites.opened(server, asked.users, directory, found) as sites:
        for name, measure in BESIDE.items():
            if name in wanted:
                with going_on(name):
                    measure(sites, figures, asked)


def measure_alone(name, measure, figures, asked):
    settings = QUIET_SETTINGS if name == "growth" else SETTINGS
    with server_with(settings) as (server, directory), BenchSite.opened(server, name, directory) as site:
        with going_on(name):
            measure(site, figures, asked)


@contextlib.contextmanager
def going_on(name):
    """What has been measured is worth telling, also where something else takes longer than anybody waits for."""
    try:
        yield
    except Exception:
        print(f"\n{name} broke off:", flush=True)
        traceback.print_exc(file=sys.stdout)


if __name__ == "__main__":
    main()
