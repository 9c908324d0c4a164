"""The table: each kind of work, beside whom it is measured, how far we may be from it, and whether we are."""

import dataclasses
import statistics

from table import percentile, spread


@dataclasses.dataclass(frozen=True)
class Row:
    work: str
    ours: str
    # Beside whom: the figure that ours is divided by. None where the figure itself is the aim.
    beside: str | None
    aim: float
    at_least: bool = False
    percent: int = 50
    digits: int = 1
    # Figures of single events, of which a round's worth gives one ratio, or of whole rounds.
    events_a_ratio: int = 1

    def is_measured(self, figures):
        return bool(figures.get(self.ours)) and (self.beside is None or bool(figures.get(self.beside)))

    def ratios(self, figures):
        """What the aim is held against: one for each round."""
        if self.beside is None:
            return figures[self.ours]
        sizes = range(0, min(len(figures[self.ours]), len(figures[self.beside])), self.events_a_ratio)
        return [self._of(figures, self.ours, at) / max(self._of(figures, self.beside, at), 1e-9) for at in sizes]

    def _of(self, figures, name, start):
        return percentile(figures[name][start : start + self.events_a_ratio], self.percent)

    def is_met(self, figures):
        found = statistics.median(self.ratios(figures))
        return found >= self.aim if self.at_least else found <= self.aim

    def cells(self, figures):
        ratios = self.ratios(figures)
        word = "at least" if self.at_least else "at most"
        times = "x" if self.beside else ""
        return (
            self.work,
            ", ".join(self._others(figures)) or "-",
            self._figure(figures, self.ours),
            spread(ratios, 2) if self.beside else "-",
            f"{word} {self.aim:g}{times}",
            "met" if self.is_met(figures) else "NOT MET",
        )

    def _others(self, figures):
        """Beside whom first, then whoever else did the same work."""
        family = self.ours.rpartition("/")[0]
        names = [self.beside] if self.beside else []
        names += [name for name in figures if name.rpartition("/")[0] == family and name.rpartition("/")[2] in LABELS]
        for name in dict.fromkeys(names):
            if name != self.ours and figures.get(name):
                yield self._other(figures, name)

    def _other(self, figures, name):
        """The figure, and how far it is from the one that ours is held against."""
        label = name.rpartition("/")[2]
        said = f"{LABELS.get(label, label)} {self._figure(figures, name)}"
        if not self.beside or name == self.beside:
            return said
        times = percentile(figures[name], self.percent) / percentile(figures[self.beside], self.percent)
        return f"{said} ({times:.2g}x)"

    def _figure(self, figures, name):
        return f"{percentile(figures[name], self.percent):,.{self.digits}f}"


LABELS = {
    "bare": "bare loop",
    "statement": "the statement",
    "graphile_worker": "Graphile Worker",
    "pg_boss": "pg-boss",
    "classic": "loop over a model",
    "clearsessions": "clearsessions with a model",
    "pg_cron": "pg_cron",
    "plain": "no trigger",
    "loop": "Django's loop",
    "without": "without the triggers",
    "rests quiet": "quiet",
    "work": "a purge without rests",
}
# More than there are: one ratio for all of them.
ALL = 10**9
P50 = {"digits": 2, "events_a_ratio": 15}
# What it grows with, by the family of its figures, which are named by how much of that there was.
GROWTH = {
    "growth sessions": ("p50 of one change, {} sessions in the table, ms", P50),
    "growth settled": ("p50 of one change beside {} settled revocations, ms", P50),
    "growth open": ("p50 of one change beside {} open behind an idle transaction, ms", P50),
    "growth user": ("one user with {} sessions, us a session", {"digits": 0}),
    "growth fresh": ("{} users at once, fresh statistics, us a user", {"digits": 0}),
    "growth stale": ("{} users at once, stale statistics, us a user", {"digits": 0}),
}


def growth_rows(figures):
    """Each size beside the smallest one."""
    for family, (work, shown) in GROWTH.items():
        names = [name for name in figures if name.startswith(f"{family}/") and figures[name]]
        smallest, *larger = sorted((name.split("/")[1] for name in names), key=number) or [None]
        for size in larger:
            yield Row(work.format(size), f"{family}/{size}", f"{family}/{smallest}", 1.3, **shown)


def number(size):
    return int(size.replace(",", ""))


ROWS = [
    Row(
        "one change: from commit to sessions gone, p50, ms",
        "single/reaped",
        "single/bare",
        1.5,
        digits=2,
        events_a_ratio=25,
    ),
    Row("the same, p99, ms", "single/reaped", "single/bare", 2, digits=2, percent=99, events_a_ratio=ALL),
    Row("many users at once: sessions ended a second", "bulk/reaped", "bulk/bare", 0.5, at_least=True, digits=0),
    Row("what the app pays for a bulk change, s", "paid/reaped", "paid/plain", 3, digits=2),
    Row("purge beside a steady load, without its rests, s", "purge/work", "purge/statement", 2, digits=2),
    Row("the same, with its rests, s", "purge/rests", "purge/statement", 5, digits=2),
    Row("the load's p99 meanwhile, ms", "load p99/rests", "load p99/rests quiet", 1.5, digits=2),
    Row("idle: transaction ids a minute", "idle/transaction ids", None, 0, digits=0),
    Row("idle: WAL, bytes a minute", "idle/WAL bytes", None, 0, digits=0),
    Row("idle: statements a minute", "idle/statements", None, 120, digits=0),
    Row("idle: processor time, ms a minute", "idle/processor ms", None, 60, digits=0),
    Row("resident memory, idle, MiB", "idle/resident MiB", None, 10),
    Row("the program, MiB", "idle/binary MiB", None, 8),
    Row("link of sessions from before the installation, s", "link/reaped", "link/loop", 1 / 8, digits=1),
    Row(
        "a login's trigger: Django itself, logins a second", "login/with", "login/without", 0.9, at_least=True, digits=0
    ),
    Row(
        "two daemons: sessions ended a second",
        "growth daemons/two",
        "growth daemons/one",
        1.5,
        at_least=True,
        digits=0,
    ),
]
HEADINGS = ("work", "others", "session-reaper", "ratio: median (least - most)", "aim", "")


def print_table(figures, rows=None):
    """As Markdown, so that it can be put into the documentation as it is."""
    rows = [*ROWS, *growth_rows(figures)] if rows is None else rows
    lines = [HEADINGS, *(row.cells(figures) for row in rows if row.is_measured(figures))]
    print("\n| " + " | ".join(lines[0]) + " |\n|" + "---|" * len(HEADINGS))
    for line in lines[1:]:
        print("| " + " | ".join(line) + " |", flush=True)
    return [dict(zip((*HEADINGS[:-1], "met"), line, strict=True)) for line in lines[1:]]
