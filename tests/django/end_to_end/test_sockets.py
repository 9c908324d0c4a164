"""A socket ends with its session, and with no other (P2): the site's processes are told, and look."""

import contextlib
import re

import pytest
from caches import start_redis
from django_site import Kind, password_of
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ENDED = 4401


class Sockets:
    """The site's sockets, the Redis between its processes, and the process that listens."""

    def __init__(self, site, ending):
        self.site = site
        redis, port = start_redis(site.directory)
        ending.callback(redis.stop)
        self.layer = f"redis://127.0.0.1:{port}/0"
        self.ending = ending
        web = site.start_django(
            "sockets",
            *("-m", "uvicorn", "example.asgi:application", "--host", "127.0.0.1", "--port", "0"),
            CHANNEL_LAYER=self.layer,
        )
        ending.callback(web.stop)
        listening = re.compile(r"http://127\.0\.0\.1:(\d+)")
        self.port = web.wait_until(lambda: listening.search(web.said()), "listening")[1]

    def start_listener(self, command="close_sockets"):
        listener = self.site.start_django("listener", "manage.py", command, CHANNEL_LAYER=self.layer)
        self.ending.callback(listener.stop)
        listener.wait_until(lambda: "Listening." in listener.said(), "listening")
        return listener

    def open(self, browser):
        """As the page in this browser does it."""
        opening = connect(
            f"ws://127.0.0.1:{self.port}/account/",
            additional_headers={"Cookie": f"sessionid={browser.session_key}"},
            origin=f"http://127.0.0.1:{self.port}",
            proxy=None,
        )
        return self.ending.enter_context(opening)


@pytest.fixture
def sockets(site):
    with contextlib.ExitStack() as ending:
        yield Sockets(site, ending)


def says(socket):
    socket.send("hello")
    return socket.recv(timeout=240)


def code_of_its_end(socket):
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=240)
    return closed.value.rcvd.code


def logged_in(site, *names):
    browsers = [site.logged_in(name) for name in names]
    for name, browser in zip(names, browsers, strict=True):
        site.wait_until_linked([browser.session_key], name)
    return browsers


def let_everything_be_told(sockets, site):
    """What is told goes through one process and one queue: what comes after has come after."""
    (carol,) = logged_in(site, "carol")
    socket = sockets.open(carol)
    for _ in range(2):
        site.db.execute("select session_reaper.revoke_user(%s)", [site.user_id("carol")])
        site.wait_until_settled(site.user_id("carol"))
    assert code_of_its_end(socket) == ENDED


def stays(socket, name):
    # Twice: an answer may have been under way.
    assert [says(socket) for _ in range(2)] == [f"hello, {name}"] * 2


every_store = pytest.mark.parametrize(
    "site", [pytest.param(Kind(linking=False, cache=cache), id=cache or "db") for cache in ("", "redis")], indirect=True
)


@every_store
def test_a_revocation_closes_the_sockets_of_the_sessions_that_ended_and_no_other(site, sockets):
    sockets.start_listener()
    phone, desk, bob = logged_in(site, "alice", "alice", "bob")
    of_phone, of_desk, of_bob = map(sockets.open, (phone, desk, bob))
    assert says(of_phone) == says(of_desk) == "hello, alice"

    keep = "select session_reaper.revoke_user(%s, keep_session => %s)"
    site.db.execute(keep, [site.user_id("alice"), desk.session_key])
    assert code_of_its_end(of_phone) == ENDED
    (later,) = logged_in(site, "alice")
    of_later = sockets.open(later)
    site.wait_until_settled(site.user_id("alice"))
    let_everything_be_told(sockets, site)

    stays(of_desk, "alice")
    stays(of_later, "alice")
    stays(of_bob, "bob")
    with pytest.raises(InvalidStatus):
        sockets.open(phone)


@every_store
def test_after_a_password_change_the_browser_that_made_it_opens_its_socket_again_and_no_other_can(site, sockets):
    """Django gives the session that stays a new key, so its socket ends as well."""
    sockets.start_listener()
    phone, desk, bob = logged_in(site, "alice", "alice", "bob")
    of_phone, of_desk, of_bob = map(sockets.open, (phone, desk, bob))

    assert desk.change_password(password_of("alice"), "second") == 302
    assert code_of_its_end(of_phone) == code_of_its_end(of_desk) == ENDED
    of_desk = sockets.open(desk)
    with pytest.raises(InvalidStatus):
        sockets.open(phone)

    site.wait_until_settled(site.user_id("alice"))
    let_everything_be_told(sockets, site)
    stays(of_desk, "alice")
    stays(of_bob, "bob")


def everybodys(site, browser):
    site.db.execute("select session_reaper.revoke_all()")


def one_session(site, browser):
    site.db.execute("select session_reaper.revoke_session(%s)", [browser.session_key])


@pytest.mark.parametrize("site", [Kind(linking=False)], indirect=True)
@pytest.mark.parametrize("revoke, is_everybodys", [(everybodys, True), (one_session, False)])
def test_the_other_scopes_are_heard_too(site, sockets, revoke, is_everybodys):
    sockets.start_listener()
    phone, desk, bob = logged_in(site, "alice", "alice", "bob")
    of_phone, of_desk, of_bob = map(sockets.open, (phone, desk, bob))

    revoke(site, phone)
    assert code_of_its_end(of_phone) == ENDED
    if is_everybodys:
        assert code_of_its_end(of_desk) == code_of_its_end(of_bob) == ENDED
    else:
        let_everything_be_told(sockets, site)
        stays(of_desk, "alice")
        stays(of_bob, "bob")


@pytest.mark.parametrize("site", [Kind(linking=False)], indirect=True)
def test_what_ended_while_nobody_listened_is_made_up_for(site, sockets):
    alice, bob = logged_in(site, "alice", "bob")
    of_alice, of_bob = map(sockets.open, (alice, bob))
    site.db.execute("select session_reaper.revoke_user(%s)", [site.user_id("alice")])
    site.wait_until_settled(site.user_id("alice"))
    assert says(of_alice) == "hello, alice"

    listener = sockets.start_listener()
    assert code_of_its_end(of_alice) == ENDED

    # And where it loses its connection.
    listening = "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen session_revoked'"
    assert site.value(listening)
    listener.wait_until(lambda: listener.said().count("Listening.") == 2, "listening again")
    site.db.execute("select session_reaper.revoke_user(%s)", [site.user_id("bob")])
    assert code_of_its_end(of_bob) == ENDED
