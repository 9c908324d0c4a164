"""The functions that end sessions, and what they know of them."""

from django_site import password_of
from kinds import EVERY_KEY, PSYCOPG2, on, package
from test_passwords import STRONGER
from waiting import eventually

FUNCTIONS = "from session_reaper import *; from session_reaper.models import *\n"


def shell(site, code):
    return site.shell(FUNCTIONS + code)


@on(**EVERY_KEY, psycopg2=package(**PSYCOPG2))
def test_a_login_is_linked_at_once_and_all_sessions_of_a_user_end(site):
    desk, phone, other = site.logged_in("alice"), site.logged_in("alice"), site.logged_in("bob")
    assert site.linked() == {desk.session_key: "alice", phone.session_key: "alice", other.session_key: "bob"}
    keep = phone.session_key

    shell(site, f"delete_user_sessions(User.objects.get(username='alice'), keep={keep!r}, reason='stolen')")
    site.wait_until_settled(site.user_id("alice"))

    assert set(site.linked().values()) == {"alice", "bob"}
    assert (desk.whoami(), phone.whoami(), other.whoami()) == (None, "alice", "bob")
    assert site.rows("select reason, sessions_ended from session_reaper.revocation") == [("stolen", 1)]


@on(**EVERY_KEY, psycopg2=package(**PSYCOPG2))
def test_one_session_ends_by_its_handle_its_key_or_its_row_and_a_strangers_does_not(site):
    browsers = [site.logged_in("alice") for _ in range(4)]
    keys = [browser.session_key for browser in browsers]

    said = shell(
        site,
        f"""
alice, bob = (User.objects.get(username=name) for name in ('alice', 'bob'))
from session_reaper.handles import handle_of
first, second, third = {keys[:3]!r}
assert delete_session(handle_of(first), user=bob) is None
assert delete_session(handle_of(first), user=alice)
assert delete_session(second)
assert delete_session(alice.open_sessions.get(session_id=third))
assert delete_session('nobody') is None
print(OpenSession.objects.filter(user=alice).count())
""",
    )
    assert said in {"1", "2", "3", "4"}
    eventually(lambda: len(site.session_keys()) == 1, "not ended")

    assert [browser.whoami() for browser in browsers] == [None, None, None, "alice"]


@on(package())
def test_everybody_is_logged_out_but_for_one(site):
    alice, bob = site.logged_in("alice"), site.logged_in("bob")
    keep = alice.session_key

    shell(site, f"delete_all_sessions(keep={keep!r}, reason='breach')")
    eventually(lambda: len(site.session_keys()) == 1, "not ended")

    assert (alice.whoami(), bob.whoami()) == ("alice", None)


@on(package())
def test_a_reason_that_no_column_or_listener_could_take_is_cut(site):
    site.logged_in("alice")

    shell(site, "delete_user_sessions(User.objects.get(username='alice'), reason='lap\\0top' * 2000)")
    site.wait_until_settled(site.user_id("alice"))

    assert site.value("select reason from session_reaper.revocation") == ("laptop" * 34)[:200]


@on(package())
def test_the_functions_can_be_awaited(site):
    alice = site.logged_in("alice")

    shell(
        site,
        "from asgiref.sync import async_to_sync\n"
        "async_to_sync(adelete_user_sessions)(User.objects.get(username='alice'), reason='async')",
    )
    site.wait_until_settled(site.user_id("alice"))

    assert alice.whoami() is None


@on(package())
def test_no_model_says_a_key(site):
    key = site.logged_in("alice").session_key
    bob = site.user_id("bob")
    site.rows("select session_reaper.revoke_user(%s, 'laptop')", bob)

    said = shell(
        site,
        "for model in (UserSession, OpenSession, Revocation, Change):\n"
        "    for row in model.objects.all(): print(model.__name__, repr(row), str(row))\n"
        "print(Revocation.objects.get(user_id=%d).change.application_name is not None)" % bob,
    )

    assert "UserSession" in said and "OpenSession" in said and "Revocation" in said
    assert key not in said


@on(package(served=False), package(served=False, atomic_requests=True))
def test_without_a_daemon_a_login_ends_in_the_changing_transaction(site):
    desk = site.logged_in("alice")
    assert site.linked()

    site.psql("update auth_user set password = '!' where username = 'alice'")

    assert site.session_keys() == set()
    assert desk.whoami() is None
    assert site.logged_in("bob").whoami() == "bob"
    assert password_of("bob")


# Reports of what fails in the statement that has these words, as Django's mails to ADMINS have them.
REPORTING = """
import contextlib, sys
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpRequest
from django.views.debug import ExceptionReporter
from session_reaper.linking import link
from session_reaper.password import keeping

def report(what, failing):
    def fails(execute, sql, params, many, context):
        if failing in sql: raise RuntimeError('broken here')
        return execute(sql, params, many, context)
    try:
        with connection.execute_wrapper(fails): what()
    except RuntimeError:
        print(ExceptionReporter(None, *sys.exc_info()).get_traceback_html())
    else:
        raise AssertionError(f'{failing} did not fail')

alice, request = User.objects.get(username='alice'), HttpRequest()
request.session = SessionStore(KEY)

def change():
    with keeping(request): alice.save()
"""


@on(package("session_reaper.devices"))
def test_no_report_of_djangos_on_an_error_shows_a_key_or_a_password(site):
    key, password = site.logged_in("alice").session_key, password_of("alice")
    hashed = site.value("select password from auth_user where username = 'alice'")

    said = shell(
        site,
        f"KEY, PASSWORD = {key!r}, {password!r}\n{REPORTING}\n"
        "report(lambda: delete_session(KEY), 'revoke_session')\n"
        "report(lambda: delete_session(KEY), 'set_config')\n"
        "report(lambda: delete_user_sessions(alice, keep=KEY), 'revoke_user')\n"
        "report(lambda: delete_all_sessions(keep=KEY), 'revoke_all')\n"
        "report(lambda: link(KEY, alice.pk, using='default'), 'link_session')\n"
        "report(change, 'for key share')\n"
        "report(change, 'UPDATE')\n"
        f"{STRONGER}"
        "report(lambda: alice.check_password(PASSWORD), 'UPDATE')\n",
    )

    assert said.count("broken here") >= 8
    assert [secret for secret in (key, password, hashed) if secret in said] == []
