"""Sockets close with their sessions: README's sixty lines as an import."""

import contextlib

import pytest
from kinds import PSYCOPG2, on, package
from test_sockets import ENDED, Sockets, code_of_its_end, says
from waiting import eventually


@pytest.fixture
def sockets(site):
    with contextlib.ExitStack() as ending:
        yield Sockets(site, ending)


@on(package(), package(user_model="members.Member"))
def test_a_socket_closes_with_its_session_and_no_other(site, sockets):
    sockets.start_listener("session_reaper_listen")
    alice, phone, bob = site.logged_in("alice"), site.logged_in("alice"), site.logged_in("bob")
    opened = [sockets.open(browser) for browser in (alice, phone, bob)]
    assert [says(socket) for socket in opened] == ["hello, alice", "hello, alice", "hello, bob"]

    site.shell(
        "from session_reaper import *; from session_reaper.handles import handle_of\n"
        f"delete_session(handle_of({alice.session_key!r}), user=User.objects.get(username='alice'))"
    )

    assert code_of_its_end(opened[0]) == ENDED
    assert [says(socket) for socket in opened[1:]] == ["hello, alice", "hello, bob"]


@on(package(), package(**PSYCOPG2))
def test_who_listens_comes_back_after_a_lost_connection_and_has_everybody_look(site, sockets):
    listener = sockets.start_listener("session_reaper_listen")
    alice = site.logged_in("alice")
    socket = sockets.open(alice)
    assert says(socket) == "hello, alice"
    freed = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query ilike 'listen session_revoked'"
    busy = (
        "select pid from pg_stat_activity where query ilike 'listen session_revoked' and datname = current_database()"
    )
    eventually(lambda: site.rows(busy), "nobody listens")

    listener.freeze()
    site.value(freed)
    site.db.execute("select session_reaper.revoke_user(%s)", [site.user_id("alice")])
    site.wait_until_settled(site.user_id("alice"))
    listener.thaw()

    assert code_of_its_end(socket) == ENDED
    assert "Not listening:" in listener.said()


@on(package(), package(**PSYCOPG2))
def test_the_signal_says_who_and_why_and_no_key(site):
    code = (
        "from session_reaper import session_revoked\n"
        "session_revoked.connect(lambda sender, **told: print(told, flush=True), weak=False)\n"
        "def failing(sender, **told): raise RuntimeError('a receiver that fails')\n"
        "session_revoked.connect(failing)\n"
        "from django.core.management import call_command; call_command('session_reaper_listen')"
    )
    listener = site.start_django("signal", "-c", f"import django; django.setup()\n{code}")
    try:
        listener.wait_until(lambda: "Listening." in listener.said(), "listening")
        key = site.logged_in("alice").session_key
        # Anybody may notify.
        site.db.execute("notify session_revoked, 'nonsense'")
        site.db.execute("""notify session_revoked, '{"user": 1}'""")
        site.db.execute("select session_reaper.revoke_user(%s, 'stolen')", [site.user_id("alice")])
        listener.wait_until(lambda: listener.said().count("'stolen'") == 2, "told of both states")
    finally:
        listener.stop()
    said = listener.said()
    assert f"'user_id': '{site.user_id('alice')}'" in said and "'scope': 'user'" in said
    assert "'state': 'revoked'" in said and "'state': 'settled'" in said
    assert "failing failed: RuntimeError" in said
    assert key not in said and "nonsense" not in said
