"""A socket of the Express app ends with its session, and with no other (P2): the app is told, and looks."""

import contextlib

import pytest
from apps import APPS, wanted
from test_apps import NEW
from test_apps import site as site
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ENDED = 4401

express = [app for app in APPS if app.name == "express" and app in wanted()]
only_express = pytest.mark.parametrize("site", express, indirect=True)


@pytest.fixture
def opened(site):
    """Opens a socket as the page in a browser does it."""
    with contextlib.ExitStack() as ending:

        def opens(client):
            cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies)
            url = site.web.url.replace("http", "ws", 1)
            return ending.enter_context(connect(url, additional_headers={"Cookie": cookies}, proxy=None))

        yield opens


def says(socket):
    socket.send("hello")
    return socket.recv(timeout=240)


def code_of_its_end(socket):
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=240)
    return closed.value.rcvd.code


def stays(socket):
    # Twice: an answer may have been under way.
    for _ in range(2):
        assert says(socket).startswith("hello, ")


# The app's connection that listens.
LISTENER = "select max(pid) from pg_stat_activity where application_name = 'sockets' and datname = 'express'"


def let_everything_be_told(site, opened):
    """What comes after has come after."""
    late = site.logged_in("spare")
    socket = opened(late)
    site.db.execute("select session_reaper.revoke_session(%s)", [late.key])
    assert code_of_its_end(socket) == ENDED
    site.wait_until_settled()


@only_express
def test_a_changed_password_closes_the_users_other_sockets_and_no_other(site, opened):
    site.reaper("migrate")
    site.start_daemon()
    desk, phone, bob = (site.logged_in(name) for name in ("alice", "alice", "bob"))
    of_desk, of_phone, of_bob = map(opened, (desk, phone, bob))
    assert says(of_desk) == says(of_phone) != says(of_bob)

    assert desk.request("/password", {"password": NEW}) == (200, "changed")
    assert code_of_its_end(of_phone) == ENDED
    of_later = opened(site.logged_in("alice", NEW))
    site.wait_until_settled()
    let_everything_be_told(site, opened)

    stays(of_desk)
    stays(of_later)
    stays(of_bob)
    with pytest.raises(InvalidStatus):
        opened(phone)


@only_express
def test_everybodys_sockets_close_and_what_was_told_while_the_app_did_not_listen_is_made_up_for(site, opened):
    site.reaper("migrate")
    site.start_daemon()
    alice, bob = (site.logged_in(name) for name in ("alice", "bob"))
    of_alice, of_bob = map(opened, (alice, bob))
    lost = site.value(LISTENER)
    site.db.execute("delete from session where sid = %s", [alice.key])
    site.db.execute("select pg_terminate_backend(%s)", [lost])
    assert code_of_its_end(of_alice) == ENDED
    assert site.value(LISTENER) not in (lost, None)

    site.db.execute("select session_reaper.revoke_all()")
    assert code_of_its_end(of_bob) == ENDED
