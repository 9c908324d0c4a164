"""A Django site without a line for session-reaper: its database and the daemon beside it."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time

from process import Process, clean_environment

PROJECT = pathlib.Path(__file__).parents[1] / "django"
REAPER = os.environ["SESSION_REAPER_BIN"]


class BenchSite:
    @classmethod
    @contextlib.contextmanager
    def opened(cls, server, name, directory):
        site = cls(server, name, directory)
        server.create_database(name)
        try:
            site.manage("migrate", "--verbosity=0")
            with server.connect(name) as site.db:
                yield site
        finally:
            server.drop_database(name)

    def __init__(self, server, database, directory):
        self.server = server
        self.database = database
        self.directory = directory

    def manage(self, *arguments):
        environment = clean_environment(**self.server.variables(self.database), NOT_LINKING="1")
        return subprocess.run(
            [sys.executable, PROJECT / "manage.py", *arguments],
            cwd=PROJECT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout

    def reaper_environment(self, **settings):
        return clean_environment(DATABASE_URL=self.server.url(self.database), **settings)

    def install(self):
        subprocess.run([REAPER, "migrate"], env=self.reaper_environment(), check=True, capture_output=True, timeout=120)

    @contextlib.contextmanager
    def daemon(self, **settings):
        environment = self.reaper_environment(SESSION_REAPER_PURGE_SCHEDULE="0 0 0 29 2 *", **settings)
        running = Process(
            [REAPER, "run"], self.directory / f"{self.database}-{time.monotonic_ns()}.log", env=environment
        )
        try:
            running.wait_until(lambda: self.value("select session_reaper.is_served()"), "serving the database")
            yield running
        finally:
            running.stop()

    def value(self, query, *parameters):
        return self.db.execute(query, parameters).fetchone()[0]

    def tables(self, *statements):
        for statement in statements:
            self.db.execute(statement)

    def add_users(self, count, first=1):
        self.db.execute(
            "insert into auth_user (username, password, is_superuser, first_name, last_name, email, is_staff,"
            " is_active, date_joined)"
            " select 'user-' || n, 'first', false, '', '', '', false, true, now() from generate_series(%s::integer, %s::integer) n",
            [first, first + count - 1],
        )

    def add_samples(self):
        """What Django keeps in a session after a login, for every user, signed and compressed by Django itself."""
        samples = self.manage("shell", "--no-imports", "-c", WRITE_SAMPLES)
        self.tables("create unlogged table sample (user_id integer primary key, data text not null)")
        with self.db.cursor().copy("copy sample from stdin") as copy:
            copy.write(samples)
        self.tables("grant select on sample to site", "analyze sample", "analyze auth_user")

    def pgbench(self, script, *options):
        """Transactions a second that four clients of pgbench did, and how long one took in milliseconds."""
        path = self.directory / "script.sql"
        path.write_text(script)
        done = subprocess.run(
            [self.server.binaries / "pgbench", "--no-vacuum", "--client=4", "--jobs=1"] + [f"--file={path}", *options],
            env=clean_environment(**self.server.variables(self.database)),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        done = done.stdout
        return float(re.search(r"^tps = ([\d.]+)", done, re.M)[1]), float(
            re.search(r"latency average = ([\d.]+)", done)[1]
        )


# A copy of these lines goes to standard output: no field of theirs needs an escape.
WRITE_SAMPLES = """
import secrets, sys
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
store = SessionStore()
for pk in get_user_model().objects.order_by("pk").values_list("pk", flat=True):
    data = store.encode({
        "_auth_user_id": str(pk),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": secrets.token_hex(32),
        "_language": "de",
        "cart": {str(number): number % 3 for number in range(pk % 5)},
    })
    sys.stdout.write(f"{pk}\\t{data}\\n")
"""
