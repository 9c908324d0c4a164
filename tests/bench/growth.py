"""Cost must not grow with what is merely there: the same change beside more sessions, more that is over, more that is open."""

import contextlib
import dataclasses

from change import change_and_wait
from growing import LINK, REVOKED, SETTLED, Growing
from sites import SESSIONS_EACH, wait_until


@dataclasses.dataclass(frozen=True)
class Sizes:
    # One after the other, three sessions each.
    users: tuple = (3_333, 33_333, 333_333)
    settled: int = 1_000_000
    open: int = 5_000
    of_one_user: tuple = (1_000, 10_000)
    bulk: tuple = (3_000, 10_000, 30_000)
    # For one daemon and for two.
    shared: int = 10_000
    changes: int = 60
    rounds: int = 3

    def scaled(self, factor):
        """A smaller site, for trying it out."""
        fewer = {"settled": int(self.settled * factor), "open": int(self.open * factor)}
        for name in ("users", "of_one_user", "bulk"):
            fewer[name] = tuple(int(size * factor) for size in getattr(self, name))
        return dataclasses.replace(self, shared=int(self.shared * factor), **fewer)


SHORT = Sizes()
FULL = Sizes(
    users=(3_333, 33_333, 333_333, 3_333_333),
    of_one_user=(10, 100, 1_000, 10_000, 30_000),
    bulk=(3_000, 10_000, 30_000, 100_000, 300_000),
    shared=30_000,
    changes=120,
)


def measure(site, figures, sizes):
    print("\nGrowth: ms for a change, us for a user of a bulk change: median (least - most)")
    growing = Growing(site, figures)
    growing.begin(sizes.users[0])
    _beside_sessions(growing, sizes)
    with site.daemon():
        growing.settle(sizes.settled)
        growing.single_changes(f"settled/{sizes.settled:,}", sizes.changes)
        figures["growth open/0"] = figures[f"growth settled/{sizes.settled:,}"]
        with growing.open_behind_an_idle_transaction(sizes.open):
            growing.single_changes(f"open/{sizes.open:,}", sizes.changes, REVOKED)
        _of_one_user(growing, sizes)
    for size in sizes.bulk:
        _bulk(growing, size)
    _daemons(growing, sizes)


def _beside_sessions(growing, sizes):
    for users in sizes.users:
        if users > growing.users:
            growing.fill_up(users)
        with growing.site.daemon():
            name = f"sessions/{round(users * SESSIONS_EACH, -1):,}"
            growing.single_changes(name, sizes.changes)
    growing.figures["growth settled/0"] = growing.figures[f"growth {name}"]


def _of_one_user(growing, sizes):
    for _ in range(sizes.rounds):
        for sessions in sizes.of_one_user:
            user = growing.take(1)[0]
            growing.give_sessions(user, sessions)
            name = f"growth user/{sessions:,}"
            growing.figures[name].append(change_and_wait(growing.site, LINK, [user]) / sessions * 1e6)
            wait_until(growing.site, SETTLED)
    for sessions in sizes.of_one_user:
        growing.tell(f"growth user/{sessions:,}")


def _bulk(growing, size):
    """On a site that has only had single changes, before anything is analyzed; and on one that has had such a bulk."""
    growing.forget()
    with growing.site.daemon():
        growing.single_changes("before a bulk", 20)
        growing.site.tables("vacuum analyze")
        growing.bulk_change(f"growth stale/{size:,}", size)
        growing.site.tables("vacuum analyze")
        growing.bulk_change(f"growth fresh/{size:,}", size)
        growing.site.tables("vacuum analyze")


def _daemons(growing, sizes):
    site = growing.site
    for _ in range(sizes.rounds):
        for count, name in enumerate(("one", "two"), 1):
            with contextlib.ExitStack() as running:
                for _ in range(count):
                    running.enter_context(site.daemon())
                wait_until(
                    site, f"(select count(*) = {count} from session_reaper.daemon join pg_stat_activity using (pid))"
                )
                seconds = change_and_wait(site, LINK, growing.take(sizes.shared))
                growing.figures[f"growth daemons/{name}"].append(sizes.shared * SESSIONS_EACH / seconds)
                wait_until(site, SETTLED)
            site.tables("vacuum analyze")
    for name in ("one", "two"):
        growing.tell(f"growth daemons/{name}", 0)
