"""A steady load of a site's: sessions are saved, and how long each save takes."""

import pathlib
import sys
import time

import steady_saves
from process import Process, clean_environment
from steady_saves import SAVES_A_SECOND, SESSIONS
from table import percentile

QUIET_S = 5


class Steady:
    """For the time of a `with`. What it has noted is to be had in the file that it writes."""

    def __init__(self, site):
        self.site = site
        site.tables(
            "insert into django_session (session_key, session_data, expire_date)"
            f" select 'load-' || n, 'e30:1xVeDd:x', now() + interval '14 days' from generate_series(1, {SESSIONS}) n"
            " on conflict do nothing"
        )

    def __enter__(self):
        log = pathlib.Path(self.site.directory) / f"load-{time.monotonic_ns()}.log"
        url = self.site.server.url(self.site.database)
        self.process = Process(
            [sys.executable, "-u", pathlib.Path(steady_saves.__file__), url], log, env=clean_environment()
        )
        self.process.wait_until(lambda: self.process.said().count("\n") > SAVES_A_SECOND, "saving")
        return self

    def __exit__(self, *_):
        self.process.stop()

    def quiet(self, figures, name):
        begun = time.monotonic()
        time.sleep(QUIET_S)
        self.note(figures, name, begun)

    def note(self, figures, name, since):
        """The saves since a time, in milliseconds, and of this round their p99."""
        # Such as were to begin before now have ended.
        until = time.monotonic()
        self.process.wait_until(lambda: self._saves()[-1][0] > until, "saving on")
        found = [took for began, took in self._saves() if since <= began <= until]
        figures[f"load/{name}"] += found
        figures[f"load p99/{name}"].append(percentile(found, 99))

    def _saves(self):
        whole = self.process.said().rpartition("\n")[0]
        return [tuple(map(float, line.split())) for line in whole.splitlines()]
