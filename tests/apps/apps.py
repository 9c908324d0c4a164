"""The apps of this directory: how each is started, what session-reaper is told of it, and how a client speaks to it."""

import dataclasses
import pathlib
import re
import shutil
import sys
import typing

from browser import Browser
from process import Process, clean_environment

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parents[1] / "target"
# That of the apps' connections. What an app writes without a zone is in this one, whatever the zone of its process.
ZONE = "America/New_York"


def node(name):
    """Node looks for packages beside the files."""
    installed = TARGET / "apps-node" / name
    for source in (HERE / name).glob("*.mjs"):
        shutil.copy(source, installed)
    return ["node", installed / "app.mjs"]


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
    # Whether it has sessions of nobody, and saves one that has been deleted.
    upserts: bool = True
    sign_up: str = "/sign-up"
    login: str = "/login"
    fields: typing.Callable[[str, str], dict] = lambda name, password: {"username": name, "password": password}

    @property
    def preset_settings(self):
        return f'[site]\npreset = "{self.preset}"\n{self.site}\n[purge]\nschedule = ""\n'


def change(table):
    return f"""
        update {table} set password_hash = (select password_hash from {table} where name = %(like)s)
        where name = %(who)s"""


APPS = [
    App(
        name="express",
        preset="connect-pg-simple",
        start=lambda: node("express"),
        site=f'user_table = "members"\npassword_column = "password_hash"\ntime_zone = "{ZONE}"',
        change=change("members"),
        session_table="session",
        session_key="sid",
        expires_column="expire",
    ),
    App(
        name="better-auth",
        preset="better-auth",
        start=lambda: node("better-auth"),
        site="",
        change="""
            update account a set password = b.password
            from account b join "user" spare on spare.id = b."userId", "user" changed
            where spare.name = %(like)s and changed.name = %(who)s and a."userId" = changed.id""",
        session_table="session",
        session_key="token",
        expires_column='"expiresAt"',
        upserts=False,
        sign_up="/api/auth/sign-up/email",
        login="/api/auth/sign-in/email",
        fields=lambda name, password: {"name": name, "email": f"{name}@example.org", "password": password},
    ),
    App(
        name="flask",
        preset="flask-session",
        start=lambda: [sys.executable, HERE / "flask/app.py"],
        site='user_table = "user"\npassword_column = "password_hash"',
        change=change('"user"'),
        session_table="sessions",
        session_key="session_id",
        expires_column="expiry",
    ),
    App(
        name="axum",
        preset="tower-sessions",
        start=lambda: [TARGET / "apps-axum/debug/session-reaper-axum"],
        site='user_table = "members"\npassword_column = "password_hash"',
        change=change("members"),
        session_table="tower_sessions.session",
        session_key="id",
        expires_column="expiry_date",
    ),
]


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


def serve(app, server, database, directory):
    """Runs an app, and returns it with its address and its gate, which is still shut."""
    gate = directory / "gate"
    variables = server.variables(database) | {"TZ": "Asia/Tokyo", "GATE": str(gate), "PYTHONDONTWRITEBYTECODE": "1"}
    web = Process(app.start(), directory / "web.log", env=clean_environment(**variables))
    web.gate = gate
    listening = re.compile(r"listening on (\d+)")
    port = web.wait_until(lambda: listening.search(web.said()), "listening")[1]
    web.url = f"http://127.0.0.1:{port}"
    return web
