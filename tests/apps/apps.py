"""The apps of this directory: how each is started, what session-reaper is told of it, and how a client speaks to it."""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import sys
import typing

from browser import Browser
from process import Process, clean_environment

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parents[1] / "target"
FRAMEWORKS = TARGET / "frameworks/starters"
# That of the apps' connections. What an app writes without a zone is in this one, whatever the zone of its process.
ZONE = "America/New_York"


def node(name):
    """Node looks for packages beside the files. Another process of the tests may be reading what is replaced."""
    installed = TARGET / "apps-node" / name
    for source in (HERE / name).glob("*.mjs"):
        copy = shutil.copy(source, installed / f"{source.name}.{os.getpid()}")
        os.replace(copy, installed / source.name)
    return ["node", installed / "app.mjs"]


def php(name):
    """PHP's own web server. A request that is in flight takes one of its workers."""
    return [FRAMEWORKS / "php", "-q", "-S", "127.0.0.1:0", HERE / name / "app.php"]


@dataclasses.dataclass(frozen=True)
class App:
    name: str
    preset: str
    start: typing.Callable[[], list]
    # What the operator adds to the preset.
    site: str
    # Gives a user, by name, the password of another one.
    change: str
    session_table: str
    session_key: str
    expires_column: str
    # What an hour is in that column.
    hour: str = "interval '1 hour'"
    user_table: str = "members"
    user_name: str = "name"
    # That of its sources here, if it is not called as the app is.
    of_directory: str = ""
    # Whether `make test` and CI run it always, and not only where a change touches it.
    usual: bool = False
    # The paths by which the app changes the password of the user who is logged in, so that this session stays.
    changes: tuple = ()
    # What the app sends before the row of a user whom it deletes.
    before_deletion: str = ""
    # Whether the user table has is_active, and the app refuses whoever is not.
    deactivates: bool = False
    # Without them nobody's changes, and `change` ends the user's sessions by itself.
    has_passwords: bool = True
    # Whether it has sessions of nobody.
    has_visitors: bool = True
    # Whether a request holds the row of its session for as long as it takes.
    locks: bool = False
    # Whether it has to say itself whose a session is, because its data cannot be read: those from before it could stay.
    links: bool = False
    # That of its connections.
    zone: str = ZONE
    # Whether it keeps its sessions in Redis as well.
    caches: bool = False
    # The status of such a request when its session has gone.
    status_of_late: int = 200
    # What its process is told beside where the database is.
    variables: dict = dataclasses.field(default_factory=dict)
    # Whether a request in flight saves a session that has been deleted meanwhile.
    upserts: bool = True
    sign_up: str = "/sign-up"
    login: str = "/login"
    fields: typing.Callable[[str, str], dict] = lambda name, password: {"username": name, "password": password}

    @property
    def directory(self):
        return self.of_directory or self.name

    @property
    def preset_settings(self):
        return f'[site]\npreset = "{self.preset}"\n{self.site}\n[purge]\nschedule = ""\n'


def change(table, column="password_hash"):
    return f"""
        update {table} set {column} = (select {column} from {table} where name = %(like)s)
        where name = %(who)s"""


def symfony(ids):
    """With this kind of users' ids, or of a class that serializes itself."""
    return App(
        name=f"symfony-{ids}",
        of_directory="symfony",
        preset="symfony",
        start=lambda: php("symfony"),
        variables={"IDS": ids},
        site='user_table = "members"\npassword_column = "password_hash"',
        change=change("members"),
        changes=("/password", "/password-and-keep"),
        deactivates=True,
        session_table="sessions",
        session_key="sess_id",
        expires_column="sess_lifetime",
        hour="3600",
        locks=True,
        upserts=False,
    )


def better_auth(name, **more):
    """The token of a session is the key of its entry in Redis, too, if that is in front of the table."""
    return App(
        name=name,
        of_directory="better-auth",
        preset="better-auth",
        start=lambda: node("better-auth"),
        site="",
        change="""
            update account a set password = b.password
            from account b join "user" spare on spare.id = b."userId", "user" changed
            where spare.name = %(like)s and changed.name = %(who)s and a."userId" = changed.id""",
        user_table='"user"',
        session_table="session",
        session_key="token",
        expires_column='"expiresAt"',
        has_visitors=False,
        upserts=False,
        sign_up="/api/auth/sign-up/email",
        login="/api/auth/sign-in/email",
        fields=lambda name, password: {"name": name, "email": f"{name}@example.org", "password": password},
        **more,
    )


def rails(serializer):
    """With Devise, and the store's data as this serializer writes it."""
    return App(
        name=f"rails-{serializer}",
        of_directory="rails",
        preset="rails",
        start=lambda: [FRAMEWORKS / "ruby", HERE / "rails/app.rb"],
        variables={"SERIALIZER": serializer},
        site="lifetime_s = 3600",
        change=change("users", "encrypted_password"),
        changes=("/password",),
        user_table="users",
        deactivates=True,
        session_table="sessions",
        session_key="session_id",
        expires_column="updated_at",
        # Under the same id, that is: test_rails.py tells more.
        upserts=False,
    )


def django(name, store, **more):
    """With a store from elsewhere, in a virtual environment of its own."""
    return App(
        name=name,
        of_directory="django",
        start=lambda: [TARGET / "apps-django-venv/bin/python", HERE / "django/app.py"],
        variables={"STORE": store},
        change="""
            update auth_user set password = (select password from auth_user where username = %(like)s)
            where username = %(who)s""",
        changes=("/password",),
        user_table="auth_user",
        user_name="username",
        # Django deletes what refers to a user itself.
        before_deletion="""
            delete from {session_table} where user_id = (select id from auth_user where username = 'bob');""",
        deactivates=True,
        session_key="session_key",
        expires_column="expire_date",
        **more,
    )


def qsessions(name, backend, **more):
    return django(
        name,
        f"qsessions.backends.{backend}",
        preset="django-qsessions",
        site="",
        session_table="qsessions_session",
        upserts=False,
        status_of_late=400,
        **more,
    )


def axum(name, **more):
    return App(
        name=name,
        of_directory="axum",
        preset="tower-sessions",
        start=lambda: [TARGET / "apps-axum/debug/session-reaper-axum"],
        site='user_table = "members"\npassword_column = "password_hash"',
        change=change("members"),
        session_table="tower_sessions.session",
        session_key="id",
        expires_column="expiry_date",
        **more,
    )


def flask(name, python, **more):
    """With the Flask-Session that this Python has."""
    return App(
        name=name,
        of_directory="flask",
        preset="flask-session",
        start=lambda: [python, HERE / "flask/app.py"],
        site='user_table = "user"\npassword_column = "password_hash"',
        change=change('"user"'),
        user_table='"user"',
        session_table="sessions",
        session_key="session_id",
        expires_column="expiry",
        **more,
    )


APPS = [
    App(
        name="express",
        usual=True,
        preset="connect-pg-simple",
        start=lambda: node("express"),
        site=f'user_table = "members"\npassword_column = "password_hash"\ntime_zone = "{ZONE}"',
        change=change("members"),
        changes=("/password",),
        session_table="session",
        session_key="sid",
        expires_column="expire",
    ),
    better_auth("better-auth", usual=True),
    better_auth("better-auth-redis", caches=True),
    flask("flask", sys.executable, usual=True),
    flask(
        "flask-0.6",
        TARGET / "apps-flask-0.6-venv/bin/python",
        variables={"LINKS": "1"},
        links=True,
        # It writes the time of the connection and reads it as UTC: in New York a session has expired before it is used.
        zone="UTC",
    ),
    axum("axum"),
    # Its RedisStore saves nothing under a key that has gone, and takes that for an error.
    axum("axum-redis", caches=True, status_of_late=500),
    App(
        name="authjs",
        preset="authjs",
        start=lambda: node("authjs"),
        site="",
        has_passwords=False,
        change="select session_reaper.revoke_user(id) from users where name = %(who)s",
        user_table="users",
        session_table="sessions",
        session_key='"sessionToken"',
        expires_column="expires",
        has_visitors=False,
        upserts=False,
    ),
    App(
        name="laravel",
        preset="laravel",
        start=lambda: php("laravel"),
        site="lifetime_s = 3600",
        change=change("users", "password"),
        changes=("/password", "/password-and-keep"),
        user_table="users",
        deactivates=True,
        session_table="sessions",
        session_key="id",
        expires_column="last_activity",
        hour="3600",
        upserts=False,
    ),
    django(
        "django-user-sessions",
        "user_sessions.backends.db",
        preset="django-user-sessions",
        site="",
        session_table="user_sessions_session",
    ),
    qsessions("django-qsessions", "db"),
    qsessions("django-qsessions-cached", "cached_db", caches=True),
    rails("marshal"),
    rails("json"),
    *(symfony(ids) for ids in ("int", "string", "object", "named")),
]


def wanted():
    """Those that the variable APPS names; otherwise those that are always run."""
    if not (names := os.environ.get("APPS", "").split()):
        return [app for app in APPS if app.usual]
    if names == ["all"]:
        return APPS
    assert not (unknown := set(names) - {app.name for app in APPS} - {"decoders"}), f"there is no app named {unknown}"
    return [app for app in APPS if app.name in names]


class Client(Browser):
    """A browser that knows the few pages that every app has."""

    def __init__(self, app, url):
        super().__init__(url)
        self.app = app
        # As a browser does. better-auth takes nothing without it from a client that has cookies.
        self._opener.addheaders.append(("Origin", url))

    def log_in(self, name, password):
        return self._post(self.app.login, name, password)

    def sign_up(self, name, password):
        return self._post(self.app.sign_up, name, password)

    def _post(self, path, name, password):
        return self.request(path, self.app.fields(name, password))[0]

    def account(self):
        """The name of the user who is logged in, or nothing if the app refuses to say."""
        status, text = self.request("/account")
        assert status in (200, 401), f"GET /account gave {status}: {text[:500]}"
        return text if status == 200 else None

    def note(self, word, path="/word"):
        return self.request(path, {"word": word})

    def noted(self):
        return self.request("/word")[1]


class Web(Process):
    """An app, with the processes that it may have started itself."""

    def stop(self):
        os.killpg(self.child.pid, signal.SIGTERM)
        return super().stop()


def start_redis(directory):
    """Reachable through a socket alone; returns where it is."""
    socket = directory / "redis.sock"
    program = shutil.which("redis-server")
    options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory]
    redis = Process([program, *options], directory / "redis.log")
    redis.url = f"unix://{socket}"
    redis.wait_until(socket.exists, "listening")
    return redis


def serve(app, server, database, directory, cache):
    """Runs an app, and returns it with its address and its gate, which is still shut."""
    gate = directory / "gate"
    variables = server.variables(database) | app.variables | {
        "TZ": "Asia/Tokyo",
        "GATE": str(gate),
        "APP_DIRECTORY": str(directory),
        "PHP_CLI_SERVER_WORKERS": "4",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if cache:
        variables["REDIS_URL"] = cache.url
    web = Web(app.start(), directory / "web.log", env=clean_environment(**variables), start_new_session=True)
    web.gate = gate
    listening = re.compile(r"listening on (\d+)|http://127\.0\.0\.1:(\d+)\) started")
    said = web.wait_until(lambda: listening.search(web.said()), "listening")
    web.url = f"http://127.0.0.1:{said[1] or said[2]}"
    return web
