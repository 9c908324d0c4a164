"""What linking costs, each thing beside its alternative in the same run: `make bench`.

Ratios are worth more than figures here: the machine is the same for both sides, and they take turns.
"""

import argparse
import contextlib
import pathlib
import platform
import sys
import tempfile
import time

# The server, the site and the daemon are those of the end-to-end tests.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "django" / "end_to_end"))

import drain  # noqa: E402
import linking_all  # noqa: E402
import saving  # noqa: E402
from bench_site import BenchSite  # noqa: E402
from postgres import Server  # noqa: E402

# As `initdb` sets a server up but for these: a commit waits for the disk, which the tests' server does not do.
SETTINGS = {"fsync": "on", "max_wal_size": "4GB"}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=4, help="rounds of each load")
    options.add_argument("--seconds", type=int, default=3, help="length of a round")
    options.add_argument("--sessions", type=int, default=1_000_000)
    options.add_argument("--drain-seconds", type=int, default=30)
    options.add_argument("--only", choices=["saving", "linking", "drain"])
    chosen = options.parse_args()
    parts = {
        "saving": lambda site: saving.measure(site, chosen.rounds, chosen.seconds),
        "drain": lambda site: drain.measure(site, chosen.drain_seconds),
        "linking": lambda site: linking_all.measure(site, chosen.sessions),
    }
    began = time.monotonic()
    with contextlib.ExitStack() as ending:
        directory = pathlib.Path(ending.enter_context(tempfile.TemporaryDirectory()))
        server = Server(SETTINGS)
        ending.callback(server.stop)
        with server.connect("postgres") as connection:
            version = connection.execute("show server_version").fetchone()[0]
        print(f"PostgreSQL {version}, Python {platform.python_version()}, settings beside the defaults: {SETTINGS}")
        for name, measure in parts.items():
            if chosen.only in (None, name):
                with BenchSite.opened(server, name, directory) as site:
                    measure(site)
    print(f"\n{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
