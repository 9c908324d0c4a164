"""The Django site in tests/django, its database, its web server, and the daemon beside it."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import django
import pexpect
from browser import Browser
from caches import CACHES
from process import Process, clean_environment
from waiting import DEADLINE_S, eventually

PROJECT = pathlib.Path(__file__).parents[1]
REAPER = os.environ.get("SESSION_REAPER_BIN", PROJECT.parents[1] / "target/debug/session-reaper")
# The package that a site may have among its apps.
PACKAGE = PROJECT.parents[1] / "django"
# Django 5.2 imports every model by itself, and says so.
SHELL = ["shell", "--no-imports"] if django.VERSION >= (5, 2) else ["shell"]
NAMES = ("alice", "bob", "carol", "admin")
# By the type of its key.
USER_MODELS = {"int": "auth.User", "bigint": "customers.Customer", "uuid": "people.Person", "text": "members.Member"}
# A schedule that comes round once a year, for tests in which the daemon is not to purge.
NEVER = "0 0 0 29 2 *"


def password_of(username):
    return f"first-password-of-{username}"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a test asks of its site."""

    atomic_requests: bool = False
    user_model: str = "auth.User"
    slow_hasher: bool = False
    installed: bool = True
    served: bool = True
    purge_schedule: str = NEVER
    # The app connects as a role that owns nothing; and whether session-reaper was told of it.
    own_role: bool = False
    role_is_known: bool = True
    # The site has the app of tests/django/linking. Without it, session-reaper finds out by itself whose sessions are.
    linking: bool = True
    # What the daemon is given as the site's SECRET_KEY and fallbacks, and when it compares the hashes in sessions.
    secret_keys: tuple = ()
    verify_after_s: int = 1
    # Which of the caches answers for the sessions, and how long the daemon expects a request in flight to fill it.
    cache: str = ""
    refill_grace_s: int = 1
    # More of INSTALLED_APPS, such as the package in django/.
    apps: tuple = ()
    # Anything else that example/settings.py reads.
    more: tuple = ()

    def variables(self):
        """What every process of the site is told of it."""
        told = {"USER_MODEL": self.user_model, "APPS": ",".join(self.apps)}
        return told | {"PYTHONPATH": str(PACKAGE)} | dict(self.more)

    @property
    def user_table(self):
        return self.user_model.lower().replace(".", "_")


class Site:
    def __init__(self, server, database, kind, directory):
        self.server = server
        self.database = database
        self.kind = kind
        self.directory = directory
        self.browsers = []
        self._more_keys = set()
        self.daemon = None
        self.web = None
        self.webs = []
        self.db = None
        self.cache = None

    def start(self):
        self._log_begins = len(self.server.process.said())
        # What the test sees: as superuser, and in a connection of its own.
        self.db = self.server.connect(self.database)
        if self.kind.cache:
            self.cache = CACHES[self.kind.cache](self)
        if self.kind.cache == "table":
            self.manage("createcachetable")
        if self.kind.own_role:
            self.db.execute("grant select, insert, update, delete on all tables in schema public to app")
            self.db.execute("grant usage on all sequences in schema public to app")
        if self.kind.installed:
            self.reaper("migrate")
            if self.kind.served:
                self.start_daemon()
        self.web = self.start_web()

    def stop(self):
        with contextlib.ExitStack() as every:
            every.callback(self.db.close)
            if self.cache:
                every.callback(self.cache.stop)
            for web in self.webs:
                every.callback(web.stop)
            if self.daemon:
                every.callback(self.stop_daemon)

    # The daemon.

    def _reaper(self, *arguments):
        settings = self.directory / "session-reaper.toml"
        cache = f"[cache]\nrefill_grace_s = {self.kind.refill_grace_s}\n{self.cache.reaper()}" if self.cache else ""
        settings.write_text(cache)
        return [REAPER, "--config", settings, *arguments]

    def _reaper_environment(self, user="site"):
        variables = {
            "DATABASE_URL": self.server.url(self.database, user),
            "SESSION_REAPER_SITE_DAEMON_ROLE": "reaper",
            "SESSION_REAPER_SITE_USER_TABLE": self.kind.user_table,
            "SESSION_REAPER_PURGE_SCHEDULE": self.kind.purge_schedule,
        }
        if self.kind.own_role and self.kind.role_is_known:
            variables["SESSION_REAPER_SITE_APP_ROLES"] = "app"
        if self.kind.secret_keys:
            keys = self.directory / "secret-keys"
            keys.write_text("\n".join(self.kind.secret_keys))
            variables["SESSION_REAPER_LINK_SECRET_KEY_FILE"] = str(keys)
            variables["SESSION_REAPER_LINK_VERIFY_AFTER_S"] = str(self.kind.verify_after_s)
            variables["SESSION_REAPER_LISTEN_POLL_INTERVAL_S"] = "1"
        return clean_environment(**variables)

    def reaper(self, *arguments):
        done = subprocess.run(
            self._reaper(*arguments), env=self._reaper_environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"session-reaper {arguments} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start_daemon(self):
        self.daemon = Process(
            self._reaper("run"), self.directory / "daemon.log", env=self._reaper_environment(user="reaper")
        )
        self.daemon.wait_until(lambda: self.value("select session_reaper.is_served()"), "serving the database")
        if not self.kind.linking:
            self.wait_until_table_is_read()

    def stop_daemon(self):
        daemon, self.daemon = self.daemon, None
        code = daemon.stop()
        assert code == 0, f"the daemon ended with {code} on SIGTERM:\n{daemon.said()}"

    # The app.

    def _django_environment(self, **variables):
        variables |= self.server.variables(self.database)
        variables |= self.kind.variables() | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        if self.kind.own_role:
            variables["PGUSER"] = "app"
        if self.kind.atomic_requests:
            variables["ATOMIC_REQUESTS"] = "1"
        if not self.kind.linking:
            variables["NOT_LINKING"] = "1"
        if self.kind.slow_hasher:
            variables["SLOW_HASHER"] = "1"
        if self.cache:
            variables["CACHE"] = json.dumps(self.cache.django())
        return clean_environment(**variables)

    def start_web(self, **variables):
        """Serves the site on a free port, a thread for each request."""
        web = Process(
            [sys.executable, PROJECT / "manage.py", "runserver", "--noreload", "127.0.0.1:0"],
            self.directory / f"web-{len(self.webs)}.log",
            cwd=PROJECT,
            env=self._django_environment(**variables),
        )
        self.webs.append(web)
        address = re.compile(r"http://127\.0\.0\.1:\d+(?=/)")
        web.url = web.wait_until(lambda: address.search(web.said()), "listening")[0]
        return web

    def start_gunicorn(self, workers=2):
        """Serves it as live sites are, by several processes."""
        arguments = ["-m", "gunicorn", "--workers", str(workers), "--bind", "127.0.0.1:0", "example.wsgi"]
        web = self.start_django(f"gunicorn-{len(self.webs)}", *arguments)
        self.webs.append(web)
        address = re.compile(r"Listening at: (http://127\.0\.0\.1:\d+)")
        web.url = web.wait_until(lambda: address.search(web.said()), "listening")[1]
        return web

    def start_django(self, name, *arguments, **variables):
        """Another of the site's processes."""
        log = self.directory / f"{name}.log"
        environment = self._django_environment(**variables, DJANGO_SETTINGS_MODULE="example.settings")
        return Process([sys.executable, *arguments], log, cwd=PROJECT, env=environment)

    def manage(self, *arguments, fails=False):
        """Returns what it said; whatever the outcome, if `fails` is None."""
        done = subprocess.run(
            [sys.executable, PROJECT / "manage.py", *arguments],
            cwd=PROJECT,
            env=self._django_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = f"manage.py {arguments} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        assert fails is None or (done.returncode != 0) == fails, said
        return done.stdout + done.stderr if fails is None else done.stderr if fails else done.stdout

    def shell(self, code):
        """Runs Python inside the site, with its user model at hand."""
        return self.manage(*SHELL, "-c", f"{SHELL_PREAMBLE}\n{code}").strip()

    def manage_on_a_terminal(self, *arguments, answers):
        """For commands that read passwords from the terminal: `answers` are what each prompt gets."""
        terminal = pexpect.spawn(
            sys.executable,
            [str(PROJECT / "manage.py"), *arguments],
            cwd=PROJECT,
            env=self._django_environment(),
            timeout=DEADLINE_S,
            encoding="utf-8",
        )
        with terminal:
            for prompt, answer in answers:
                terminal.expect_exact(prompt)
                terminal.sendline(answer)
            terminal.expect(pexpect.EOF)
        assert terminal.exitstatus == 0, f"manage.py {arguments} gave {terminal.exitstatus}: {terminal.before}"

    def psql(self, statements):
        subprocess.run(
            [self.server.binaries / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
            env=clean_environment(**self.server.variables(self.database)),
            input=statements,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )

    # Browsers.

    def browser(self, web=None):
        opened = Browser((web or self.web).url)
        self.browsers.append(opened)
        return opened

    def logged_in(self, username, password=None, **where):
        opened = self.browser(**where)
        taken = opened.log_in(username, password or password_of(username))
        assert taken, f"{username} could not log in:\n{self.web.said()}"
        return opened

    def visitor(self, word):
        """A browser with a session, but without a user."""
        opened = self.browser()
        assert opened.request(f"/remember/{word}/")[0] == 200
        assert opened.session_key, "the visitor got no session"
        return opened

    def note_key(self, key):
        """Of a browser that is none of `browsers`: it may turn up in no log, either."""
        self._more_keys.add(key)

    @contextlib.contextmanager
    def closed_gate(self):
        """Holds up logins between the verification of the password and everything else."""
        with self.server.connect(self.database) as holder:
            yield Gate(self, holder)

    # The database.

    def rows(self, query, *parameters):
        return self.db.execute(query, parameters).fetchall()

    def value(self, query, *parameters):
        return self.db.execute(query, parameters).fetchone()[0]

    def session_keys(self):
        return {key for (key,) in self.rows("select session_key from django_session")}

    def linked(self):
        """Which session belongs to whom, as the schema has it."""
        return dict(
            self.rows(
                f"select l.session_key, u.username from session_reaper.user_session l"
                f" join {self.kind.user_table} u on u.id = l.user_id"
            )
        )

    def wait_until_table_is_read(self):
        """Until then every login counts as older than every change."""
        complete = "select complete from session_reaper.backfill"
        self.daemon.wait_until(lambda: self.value(complete), "done with the sessions from before")

    def wait_until_linked(self, keys, username):
        """A site that links its sessions has done so; elsewhere the daemon does it in a moment."""
        wanted = dict.fromkeys(keys, username)

        def look():
            return wanted.items() <= self.linked().items()

        if self.kind.linking:
            assert look(), f"not linked: {self.linked()}"
        else:
            eventually(look, lambda: f"not linked: {self.linked()}\n{self.daemon.said()}")

    def user_id(self, username):
        return self.value(f"select id from {self.kind.user_table} where username = %s", username)

    def revocations(self, user_id):
        return [
            state
            for (state,) in self.rows(
                "select state from session_reaper.revocation where user_id = %s order by id", user_id
            )
        ]

    def wait_until_settled(self, user_id):
        """Waits for what is asked of this user's sessions, which must be something, to be done."""
        asked = self.revocations(user_id)
        assert asked, "nobody asked for this user's sessions to end"
        eventually(
            lambda: set(self.revocations(user_id)) == {"settled"},
            lambda: (
                f"not settled: {self.rows('select * from session_reaper.revocation')}\n"
                + (self.daemon.said() if self.daemon else "no daemon")
            ),
        )

    # What no test may find.

    def assert_no_key_is_logged(self):
        logs = {log.name: log.read_text(errors="replace") for log in self.directory.glob("daemon*.log")}
        logs["PostgreSQL's log"] = self.server.process.said()[self._log_begins :]
        keys = self._more_keys | {key for browser in self.browsers for key in browser.keys_held}
        leaks = [name for name, text in logs.items() if any(key in text for key in keys)]
        assert not leaks, f"a session key stands in {leaks}"


class Gate:
    def __init__(self, site, holder):
        self.site = site
        self.holder = holder
        # The number stands in example/auth.py.
        holder.execute("select pg_advisory_lock(4711)")

    def wait_for_a_login(self):
        waiting = (
            "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        eventually(lambda: self.site.value(waiting), "no login has come to the gate")

    def open(self):
        self.holder.execute("select pg_advisory_unlock(4711)")


SHELL_PREAMBLE = """
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import transaction
User = get_user_model()
"""
