"""`pg_cron` in the server that is measured: its files beside those of the server, in a copy of the server's directories.

An extension has to lie where the server's own do, and nothing is installed on the machine.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import time
from unittest import mock

from postgres import find_binaries

PROGRAMS = pathlib.Path(__file__).parents[2] / "target" / "programs"
# A worker of the server runs a job, and not a connection that would need a password.
SETTINGS = {"cron.database_name": "postgres", "cron.use_background_workers": "on"}
DELETE = "delete from django_session where expire_date < now()"


@contextlib.contextmanager
def prepared(directory):
    """Whether the server that is started meanwhile has it."""
    binaries = find_binaries()
    if binaries.is_relative_to(PROGRAMS):
        yield any(PROGRAMS.glob("usr/lib/postgresql/*/lib/pg_cron.so"))
        return
    libraries, shared = (_place(binaries, what) for what in ("pkglibdir", "sharedir"))
    unpacked = PROGRAMS / libraries.relative_to("/") / "pg_cron.so"
    if (libraries / "pg_cron.so").exists() or not unpacked.exists():
        yield (libraries / "pg_cron.so").exists()
        return
    tree = directory / "server"
    # In Debian the programs lie beside the libraries.
    for place in (libraries.parent, shared, binaries):
        if not (tree / place.relative_to("/")).exists():
            shutil.copytree(place, tree / place.relative_to("/"), symlinks=True)
    shutil.copy(unpacked, tree / libraries.relative_to("/"))
    for file in (PROGRAMS / shared.relative_to("/") / "extension").glob("pg_cron*"):
        shutil.copy(file, tree / shared.relative_to("/") / "extension")
    # The server runs as somebody else.
    directory.chmod(0o755)
    with mock.patch.dict(os.environ, SESSION_REAPER_PG_BINDIR=str(tree / binaries.relative_to("/"))):
        yield True


def _place(binaries, what):
    return pathlib.Path(
        subprocess.run([binaries / "pg_config", f"--{what}"], check=True, capture_output=True, text=True).stdout.strip()
    )


def delete_expired(looking, site):
    """By a job that comes round at the next full minute. In seconds, without the wait for that minute."""
    looking.execute("create extension if not exists pg_cron")
    job = looking.execute(
        "select cron.schedule_in_database('purge', '* * * * *', %s, %s)", [DELETE, site.database]
    ).fetchone()[0]
    ended = "select extract(epoch from end_time - start_time), status from cron.job_run_details where jobid = %s"
    begun = time.monotonic()
    try:
        while not (found := looking.execute(f"{ended} and end_time is not null", [job]).fetchone()):
            assert time.monotonic() < begun + 300, "pg_cron does not come round"
            time.sleep(0.1)
    finally:
        looking.execute("select cron.unschedule(%s::bigint)", [job])
    assert found[1] == "succeeded", found
    return float(found[0])
