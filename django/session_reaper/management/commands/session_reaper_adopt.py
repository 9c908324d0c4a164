"""Takes the sessions of another package over, so that nobody has to log in again.

They are copied into Django's own table, under the same keys: all three packages write the data that Django reads, and
browsers keep their cookies. Run it before the site changes SESSION_ENGINE, and once more right after that, for who
logged in meanwhile. What is there already stays as it is, and nothing is deleted. The guides are in docs/.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, transaction

from session_reaper import stores


class Package(NamedTuple):
    """Another package's table of sessions, or of what it notes beside Django's own."""

    table: str
    has_sessions: bool


PACKAGES = {
    "django-user-sessions": Package("user_sessions_session", True),
    "django-qsessions": Package("qsessions_session", True),
    "allauth-usersessions": Package("usersessions_usersession", False),
}


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("package", choices=sorted(PACKAGES))
        parser.add_argument("--database", default=None, help="the alias in DATABASES; left out, that of the sessions")
        parser.add_argument("--dry-run", action="store_true", help="count, and copy nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if not apps.is_installed("django.contrib.sessions"):
            raise CommandError("put django.contrib.sessions into INSTALLED_APPS, and run `manage.py migrate` first")
        using = stores.alias(options["database"])
        package = PACKAGES[options["package"]]
        known = connections[using].introspection.table_names()
        for table in (package.table, Session._meta.db_table):
            if table not in known:
                raise CommandError(f"there is no table {table} in this database")
        with transaction.atomic(using=using):
            if package.has_sessions:
                copied = copy_sessions(package.table, using)
                self.stdout.write(f"{copied} sessions copied into {Session._meta.db_table}.")
            if apps.is_installed("session_reaper.devices"):
                self.stdout.write(f"{copy_devices(package.table, using)} devices copied.")
            if options["dry_run"]:
                transaction.set_rollback(True, using=using)
                self.stdout.write("Nothing was kept: this was a dry run.")


def copy_sessions(table: str, using: str) -> int:
    ours = Session._meta.db_table
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"insert into {ours} (session_key, session_data, expire_date)"
            f" select session_key, session_data, expire_date from {table} where expire_date > current_timestamp"
            f" on conflict (session_key) do nothing"
        )
        return int(cursor.rowcount)


def copy_devices(table: str, using: str) -> int:
    """The families of browser and system alone, whatever else the package has noted.

    In one statement, so that no key leaves the database and stands in a log, and with the sessions held meanwhile: one
    that goes would have the statement fail, and its key in the server's log.
    """
    from session_reaper.devices.families import BROWSERS, SYSTEMS
    from session_reaper.devices.models import Device

    browser, browser_marks = _family(BROWSERS)
    system, system_marks = _family(SYSTEMS)
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"insert into {Device._meta.db_table} (session_key, browser, system, network)"
            f" select s.session_key, {browser}, {system}, '' from {Session._meta.db_table} s"
            f" join {table} t on t.session_key = s.session_key where t.user_agent <> ''"
            f" for key share of s on conflict (session_key) do nothing",
            browser_marks + system_marks,
        )
        return int(cursor.rowcount)


def _family(families: tuple[tuple[str, str], ...]) -> tuple[str, list[str]]:
    """What devices.families does, in SQL: the first mark that there is decides. And what goes into the statement."""
    cases = " ".join("when strpos(t.user_agent, %s) > 0 then %s" for _ in families)
    return f"case {cases} else '' end", [text for pair in families for text in pair]
