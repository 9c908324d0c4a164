"""Installs session-reaper in the databases that Django's tests run in, and has a daemon serve the first one."""

import pathlib
import tempfile

from django.db import connections
from django.test.runner import DiscoverRunner
from django_site_daemon import Daemon

from session_reaper import binary, schema


class Runner(DiscoverRunner):
    daemon = None

    def setup_databases(self, **options):
        configured = super().setup_databases(**options)
        for connection, *_ in configured:
            done = binary.run("migrate", using=connection.alias)
            assert done.returncode == 0, done.stderr
        schema.forget()
        self.directory = tempfile.TemporaryDirectory()
        self.daemon = Daemon("default", pathlib.Path(self.directory.name))
        print(f"session-reaper is installed, and served: {schema.is_served('default')}")
        return configured

    def teardown_databases(self, *arguments, **options):
        seen = connections["default"].cursor()
        seen.execute("select count(*), coalesce(sum(sessions_ended), 0) from session_reaper.revocation")
        print("revocations and the sessions that they ended: %s, %s" % seen.fetchone())
        seen.close()
        self.daemon.stop()
        self.directory.cleanup()
        super().teardown_databases(*arguments, **options)
