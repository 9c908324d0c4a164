"""The same story with every app. None needs a line for session-reaper to play its part in it."""

import contextlib
import os
import subprocess
import threading

import pytest
from apps import TARGET, Client, serve, start_redis, wanted
from process import Process, clean_environment
from waiting import eventually

REAPER = os.environ.get("SESSION_REAPER_BIN", TARGET / "debug/session-reaper")
PASSWORDS = {"alice": "the first of alice", "bob": "the first of bob", "spare": "the second of alice"}
NEW = PASSWORDS["spare"]


class Site:
    """An app, its database and, from some time on, the daemon."""

    def __init__(self, app, server, database, directory):
        self.app = app
        self.database = database
        self.directory = directory
        self.db = server.connect(database)
        self.server = server
        self.log_begins = len(server.process.said())
        self.cache = start_redis(directory) if app.caches else None
        self.web = serve(app, server, database, directory, self.cache)
        self.daemon = None
        self.keys_seen = set()
        cache = f'[cache]\nkind = "redis"\nservers = ["{self.cache.url}"]\n' if self.cache else ""
        (directory / "settings.toml").write_text(app.preset_settings + cache)

    def stop(self):
        with contextlib.ExitStack() as every:
            every.callback(self.db.close)
            if self.cache:
                every.callback(self.cache.stop)
            every.callback(self.web.stop)
            if self.daemon:
                every.callback(self.daemon.stop)

    def _reaper(self, *arguments, user="site"):
        command = [REAPER, "--config", self.directory / "settings.toml", *arguments]
        url = self.server.url(self.database, user)
        return command, clean_environment(DATABASE_URL=url, SESSION_REAPER_SITE_DAEMON_ROLE="reaper")

    def reaper(self, *arguments):
        command, environment = self._reaper(*arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def reaper_says(self, *arguments):
        """What it says, whether it is content or not."""
        command, environment = self._reaper(*arguments)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120).stdout

    def start_daemon(self):
        command, environment = self._reaper("run", user="reaper")
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
        if self.app.has_visitors:
            assert client.note(word) == (200, "noted")
        return client

    def change_password(self, who, like):
        changed = self.db.execute(self.app.change, {"who": who, "like": like})
        assert changed.rowcount == 1

    def let_expire(self, client):
        """Its sessions live for an hour, whatever the zone that it writes in."""
        expires, table, key = self.app.expires_column, self.app.session_table, self.app.session_key
        aged = self.db.execute(
            f"update {table} set {expires} = {expires} - {self.app.hour} * 2 where {key} = %s", [client.key]
        )
        assert aged.rowcount == 1

    def wait_until_settled(self):
        every = "select bool_and(state = 'settled') from session_reaper.revocation"
        eventually(lambda: self.value(every), "not settled")

    def assert_no_key_is_logged(self):
        said = self.server.process.said()[self.log_begins :] + self.daemon.said()
        assert self.keys_seen and not [key for key in self.keys_seen if key in said]


@pytest.fixture(params=wanted(), ids=lambda app: app.name)
def site(request, server, tmp_path):
    app = request.param
    database = app.name
    server.create_database(database)
    with server.connect("postgres") as connection:
        connection.execute(f"alter database \"{database}\" set timezone to '{app.zone}'")
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
        if running.daemon:
            running.assert_no_key_is_logged()


@contextlib.contextmanager
def in_flight(site, client):
    """A request that has read its session when this begins, and saves it when this has ended."""
    if not site.app.has_visitors:
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
    assert [status for status, _ in answers] == [site.app.status_of_late]


def test_a_password_changed_in_sql_ends_the_sessions_that_are_older(site):
    older = site.logged_in("alice")
    site.reaper("migrate")
    site.start_daemon()
    hers = [*([] if site.app.links else [older]), *(site.logged_in("alice") for _ in range(3))]
    bob, visitor = site.logged_in("bob"), site.visitor("umbrella")

    with in_flight(site, hers[-1]):
        site.change_password("alice", like="spare")
        # What the request holds can only end after it.
        free = {client.key for client in (hers[:-1] if site.app.locks else hers)}
        eventually(lambda: not site.keys() & free, "not ended")
        # A cache hears of it once the rows are gone.
        eventually(lambda: [client.account() for client in hers[:-1]] == [None] * (len(hers) - 1), "not refused")
        later = site.logged_in("alice", NEW)
        assert not site.app.has_passwords or hers[0].log_in("alice", PASSWORDS["alice"]) == 401
        # The same browser.
        assert hers[0].log_in("alice", NEW) == 200
    site.wait_until_settled()

    assert hers[-1].account() is None
    # The request in flight had saved its session again, where the store does that.
    ended = site.value("select sum(sessions_ended)::int from session_reaper.revocation")
    assert ended == len(hers) + site.app.upserts
    assert later.account() == hers[0].account() == "alice"
    assert bob.account() == "bob"
    assert not site.app.has_visitors or visitor.noted() == "umbrella"


def test_a_session_that_nobody_can_read_is_told_of(site):
    if not site.app.links:
        pytest.skip("they can be read")
    site.logged_in("alice")
    site.reaper("migrate")
    site.start_daemon()

    eventually(lambda: "pickle" in site.reaper_says("status"), "not told of")


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
    assert (alice.account(), bob.account()) == ("alice", "bob")
    # In a cache it expires by itself, and not by the hand that has aged the row.
    assert site.app.caches or gone.account() is None
    assert not site.app.has_visitors or visitor.noted() == "umbrella"


def test_the_session_that_changes_the_password_in_the_app_stays_and_the_others_end(site):
    if not site.app.changes:
        pytest.skip("it has no page for that")
    site.reaper("migrate")
    site.start_daemon()
    password = PASSWORDS["alice"]
    for path in site.app.changes:
        hers, other, bob = site.logged_in("alice", password), site.logged_in("alice", password), site.logged_in("bob")
        password = f"{password}, {path}"

        assert hers.request(path, {"password": password})[0] == 200, site.web.said()

        eventually(lambda: other.key not in site.keys(), f"not ended by {path}")
        site.wait_until_settled()
        assert (hers.account(), other.account(), bob.account()) == ("alice", None, "bob"), path
        assert site.logged_in("alice", password).account() == "alice"


def test_a_user_who_is_deactivated_or_deleted_has_no_session_left(site):
    site.reaper("migrate")
    site.start_daemon()
    alice, bob, spare = site.logged_in("alice"), site.logged_in("bob"), site.logged_in("spare")
    if site.app.deactivates:
        site.db.execute(f"update {site.app.user_table} set is_active = false where {site.app.user_name} = 'alice'")
        eventually(lambda: alice.key not in site.keys(), "not ended")
        eventually(lambda: alice.account() is None, "not refused")
        assert alice.log_in("alice", PASSWORDS["alice"]) != 200

    before = site.app.before_deletion.format(session_table=site.app.session_table)
    site.db.execute(f"{before} delete from {site.app.user_table} where {site.app.user_name} = 'bob'")

    eventually(lambda: bob.key not in site.keys(), "not ended")
    site.wait_until_settled()
    assert (bob.account(), spare.account()) == (None, "spare")


def test_what_is_changed_while_no_daemon_serves_ends_the_older_sessions_by_when_one_is_back(site):
    site.reaper("migrate")
    site.start_daemon()
    before = site.logged_in("alice")
    site.daemon.stop()
    while_away, bob = site.logged_in("alice"), site.logged_in("bob")

    site.change_password("alice", like="spare")
    later = site.logged_in("alice", NEW)
    site.start_daemon()

    eventually(lambda: not site.keys() & {before.key, while_away.key}, "not ended")
    site.wait_until_settled()
    assert (before.account(), while_away.account()) == (None, None)
    assert (later.account(), bob.account()) == ("alice", "bob")
