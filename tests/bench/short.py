"""The short form that CI runs: ratios alone, with wide limits, and a second try. It fails where what was gained is lost.

Half a minute on a small site, with the daemon as the tests build it. Each limit is far above what a busy machine shows, and
below what was measured before the gain that it guards.
"""

import collections
import pathlib
import sys

# The server, the site and the daemon are those of the end-to-end tests.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "django" / "end_to_end"))

import aims  # noqa: E402
import bulk  # noqa: E402
import idle  # noqa: E402
import single  # noqa: E402
from bench import QUIET_SETTINGS, server_with  # noqa: E402
from change import change_and_wait  # noqa: E402
from contenders import BARE  # noqa: E402
from growing import LINK, Growing  # noqa: E402
from sites import Sites  # noqa: E402

USERS = 3_000
SETTLED = 50_000
# How long a commit waits for the disk is none of ours.
SETTINGS = QUIET_SETTINGS | {"fsync": "off", "shared_preload_libraries": "pg_stat_statements"}


def beside_settled(sites, figures):
    """The same changes before and after many others, in milliseconds."""
    for name in ("none", "many"):
        for user in sites.take_users(30):
            figures[f"settled/{name}"].append(change_and_wait(sites.reaped, LINK, [user]) * 1000)
            sites.wait_until_settled()
        if name == "none":
            Growing(sites.reaped, figures).settle(SETTLED)


PARTS = {
    "single": lambda sites, figures: [single.one_change(sites, figures, number) for number in range(45)],
    "bulk": lambda sites, figures: [bulk.one_bulk(sites, figures, 300, number) for number in range(4)],
    "paid": lambda sites, figures: bulk.what_the_app_pays(sites, figures, 1_000, 3),
    "settled": beside_settled,
    "idle": lambda sites, figures: idle.measure(sites, figures, 10),
}
LIMITS = [
    aims.Row("one change, p50, ms", "single/reaped", "single/bare", 6, digits=2, events_a_ratio=15),
    aims.Row("many users at once: sessions ended a second", "bulk/reaped", "bulk/bare", 0.08, at_least=True, digits=0),
    aims.Row("what the app pays for a bulk change, s", "paid/reaped", "paid/plain", 40, digits=3),
    aims.Row(
        f"one change beside {SETTLED:,} settled ones, p50, ms",
        "settled/many",
        "settled/none",
        3,
        digits=2,
        events_a_ratio=10,
    ),
    # Counted and not timed, so nothing but the daemon moves them.
    aims.Row("idle: statements a minute", "idle/statements", None, 400, digits=0),
    aims.Row("idle: transaction ids a minute", "idle/transaction ids", None, 30, digits=0),
    aims.Row("idle: WAL, bytes a minute", "idle/WAL bytes", None, 20_000, digits=0),
]


def main():
    failed = measure(PARTS)
    # Somebody else may have had the machine.
    if failed:
        print("\nOnce more: " + ", ".join(failed))
        failed = measure({name: PARTS[name] for name in failed})
    if failed:
        sys.exit("Slower than the limits, twice: " + ", ".join(failed))


def measure(parts):
    """The parts that are beyond a limit."""
    figures = collections.defaultdict(list)
    with server_with(SETTINGS) as (server, directory):
        with server.connect("postgres") as connection:
            connection.execute("create extension pg_stat_statements")
        with Sites.opened(server, USERS, directory, [BARE]) as sites:
            for part in parts.values():
                part(sites, figures)
    measured = [row for row in LIMITS if row.is_measured(figures)]
    aims.print_table(figures, measured)
    return list(dict.fromkeys(row.ours.split("/")[0] for row in measured if not row.is_met(figures)))


if __name__ == "__main__":
    main()
