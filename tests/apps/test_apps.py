"""The same story with every app. None needs a line for session-reaper to play its part in it."""

import contextlib
import os
import subprocess
import threading

import pytest
from apps import APPS, TARGET, ZONE, Client, serve
from process import Process, clean_environment
from waiting import eventually

REAPER = os.environ.get("SESSION_REAPER_BIN", TARGET / "debug/session-reaper")
PASSWORDS = {"alice": "the first of alice", "bob": "the first of bob", "spare": "the second of alice"}
NEW = PASSWORDS["spare"]


class Site:
    """An app, its database and, from some time on, the daemon."""

    def __init__(self, app, server, database, directory):
        self.app = app
        self.url = server.url(database)
        self.directory = directory
        self.db = server.connect(database)
        self.server = server
        self.log_begins = len(server.process.said())
        self.web = serve(app, server, database, directory)
        self.daemon = None
        self.keys_seen = set()
        (directory / "settings.toml").write_text(app.preset_settings)

    def stop(self):
        with contextlib.ExitStack() as every:
            every.callback(self.db.close)
            every.callback(self.web.stop)
            if self.daemon:
                every.callback(self.daemon.stop)

    def _reaper(self, *arguments):
        command = [REAPER, "--config", self.directory / "settings.toml", *arguments]
        return command, clean_environment(DATABASE_URL=self.url)

    def reaper(self, *arguments):
        command, environment = self._reaper(*arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start_daemon(self):
        command, environment = self._reaper("run")
        self.daemon = Process(command, self.directory / "daemon.log", env=environment)
        self.daemon.wait_until(lambda: self.value("select session_reaper.is_served()"), "serving the database")

    def value(self, statement):
        return self.db.execute(statement).fetchone()[0]

    def keys(self):
        found = {key for (key,) in self.db.execute(f"select {self.app.session_key} from {self.app.session_table}")}
        self.keys_seen |= found
        return found

    def client(self):
        return Client(self.app, self.web.url)

    def logged_in(self, name, password=None):
        """A client that has logged in, and the key of its session."""
        before, client = self.keys(), self.client()
        assert client.log_in(name, password or PASSWORDS[name]) == 200, self.web.said()
        assert client.account() == name
        (client.key,) = self.keys() - before
        return client

    def visitor(self, word):
        client = self.client()
        if self.app.upserts:
            assert client.note(word) == (200, "noted")
        return client

    def change_password(self, who, like):
        changed = self.db.execute(self.app.change, {"who": who, "like": like})
        assert changed.rowcount == 1

    def let_expire(self, client):
        """Its sessions live for an hour, whatever the zone that it writes in."""
        expires, table, key = self.app.expires_column, self.app.session_table, self.app.session_key
        aged = self.db.execute(
            f"update {table} set {expires} = {expires} - interval '61 minutes' where {key} = %s", [client.key]
        )
        assert aged.rowcount == 1

    def wait_until_settled(self):
        every = "select bool_and(state = 'settled') from session_reaper.revocation"
        eventually(lambda: self.value(every), "not settled")

    def assert_no_key_is_logged(self):
        said = self.server.process.said()[self.log_begins :] + self.daemon.said()
        assert self.keys_seen and not [key for key in self.keys_seen if key in said]


@pytest.fixture(params=APPS, ids=lambda app: app.name)
def site(request, server, tmp_path):
    app = request.param
    database = app.name
    server.create_database(database)
    with server.connect("postgres") as connection:
        connection.execute(f"alter database \"{database}\" set timezone to '{ZONE}'")
    with contextlib.ExitStack() as ending:
        ending.callback(server.drop_database, database)
        running = Site(app, server, database, tmp_path)
        request.node.site = running
        ending.callback(running.stop)
        for name, password in PASSWORDS.items():
            assert running.client().sign_up(name, password) == 200, running.web.said()
        # Some make their table only now.
        running.visitor("the first")
        yield running
        running.assert_no_key_is_logged()


@contextlib.contextmanager
def in_flight(site, client):
    """A request that has read its session when this begins, and saves it when this has ended."""
    if not site.app.upserts:
        yield
        return
    answers = []
    request = threading.Thread(target=lambda: answers.append(client.note("late", "/slow-word")))
    request.start()
    try:
        site.web.wait_until(lambda: "holding" in site.web.said(), "holding the request")
        yield
    finally:
        site.web.gate.touch()
        request.join()
    assert answers == [(200, "noted")]


def test_a_password_changed_in_sql_ends_the_sessions_that_are_older(site):
    older = site.logged_in("alice")
    site.reaper("migrate")
    site.start_daemon()
    hers = [older, *(site.logged_in("alice") for _ in range(3))]
    bob, visitor = site.logged_in("bob"), site.visitor("umbrella")

    with in_flight(site, hers[-1]):
        site.change_password("alice", like="spare")
        eventually(lambda: not site.keys() & {client.key for client in hers}, "not ended")
        assert [client.account() for client in hers[:-1]] == [None] * 3
        later = site.logged_in("alice", NEW)
        assert hers[0].log_in("alice", PASSWORDS["alice"]) == 401
        # The same browser.
        assert hers[0].log_in("alice", NEW) == 200
    site.wait_until_settled()

    assert hers[-1].account() is None
    # The request in flight had saved its session again, where the store does that.
    ended = site.value("select sum(sessions_ended)::int from session_reaper.revocation")
    assert ended == len(hers) + site.app.upserts
    assert later.account() == hers[0].account() == "alice"
    assert bob.account() == "bob"
    assert not site.app.upserts or visitor.noted() == "umbrella"


def test_a_purge_takes_the_expired_session_and_leaves_those_that_are_alive(site):
    site.reaper("migrate")
    site.start_daemon()
    alice, bob, gone = site.logged_in("alice"), site.logged_in("bob"), site.logged_in("bob")
    visitor = site.visitor("umbrella")
    before = site.keys()
    site.let_expire(gone)

    said = site.reaper("purge", "--json")

    assert '"sessions":1,' in said
    assert site.keys() == before - {gone.key}
    assert (alice.account(), bob.account(), gone.account()) == ("alice", "bob", None)
    assert not site.app.upserts or visitor.noted() == "umbrella"
