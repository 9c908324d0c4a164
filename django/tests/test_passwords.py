"""Whom a change of password spares."""

import concurrent.futures

import django
import pytest
from django_site import password_of
from kinds import PSYCOPG2, on, package
from waiting import eventually

BOTH = {"autocommit": package(), "atomic_requests": package(atomic_requests=True)}
STRONGER = """
from django.conf import settings
settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[::-1]
from django.contrib.auth import hashers
hashers.get_hashers.cache_clear(); hashers.get_hashers_by_algorithm.cache_clear()
"""
REQUEST = """
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import connection
from django.test import RequestFactory
from session_reaper import keeping
def current(): return connection.cursor().execute("select current_setting('session_reaper.keep_session', true)")
request = RequestFactory().post("/", {{"old_password": {password!r}, "new_password1": "mine", "new_password2": "mine"}})
request._dont_enforce_csrf_checks = True
request.user = User.objects.get(username="alice")
request.session = SessionStore({key!r})
"""


@on(**BOTH, psycopg2=package(**PSYCOPG2))
def test_the_browser_that_changes_the_password_stays_and_the_others_end(site):
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    ended = phone.session_key

    assert desk.change_password(password_of("alice"), "second") == 302
    site.wait_until_settled(site.user_id("alice"))

    assert ended not in site.session_keys()
    assert site.linked() == {desk.session_key: "alice"}
    assert (desk.whoami(), phone.whoami()) == ("alice", None)


@on(**BOTH)
def test_the_admin_stays_logged_in_after_changing_the_own_password_there(site):
    desk, phone = site.browser(), site.browser()
    for browser in (desk, phone):
        assert browser.log_in("admin", password_of("admin"), path="/admin/login/?next=/admin/")
    admin = site.user_id("admin")

    fields = {"password1": "fourteen letters", "password2": "fourteen letters", "usable_password": "true"}
    assert desk.submit(f"/admin/auth/user/{admin}/password/", **fields)[0] == 302
    site.wait_until_settled(admin)

    assert (desk.whoami(), phone.whoami()) == ("admin", None)


@on(**BOTH)
def test_a_hash_that_is_upgraded_at_login_asks_for_nothing_and_the_next_change_does(site):
    old = site.logged_in("alice")
    key = old.session_key
    newer_release = site.start_web(SLOW_HASHER="1")
    new = site.logged_in("alice", web=newer_release)
    hashed = site.value("select password from auth_user where username = 'alice'")
    assert hashed.startswith("pbkdf2_sha256$")

    assert site.revocations(site.user_id("alice")) == []
    assert {key, new.session_key} <= site.session_keys()

    assert new.change_password(password_of("alice"), "second") == 302
    site.wait_until_settled(site.user_id("alice"))
    assert key not in site.session_keys()
    assert new.whoami() == "alice"


@on(package())
def test_a_new_hash_that_is_saved_alone_is_a_change(site):
    """Only the verification of a password can make its hash stronger."""
    desk = site.logged_in("alice")
    key = desk.session_key

    site.shell(
        "user = User.objects.get(username='alice')\n"
        "user.password = make_password('x'); user.save(update_fields=['password'])"
    )
    site.wait_until_settled(site.user_id("alice"))

    assert key not in site.session_keys()


@on(package())
def test_a_change_in_the_same_transaction_as_an_upgrade_is_a_change(site):
    desk = site.logged_in("alice")
    key = desk.session_key

    site.shell(
        STRONGER + "with transaction.atomic():\n"
        "    user = User.objects.get(username='alice'); before = user.password\n"
        f"    assert user.check_password({password_of('alice')!r}) and user.password != before\n"
        "    user.set_password('second'); user.save()\n"
    )
    site.wait_until_settled(site.user_id("alice"))

    assert key not in site.session_keys()


@on(package())
def test_an_upgrade_does_not_bring_back_a_password_that_was_changed_meanwhile(site):
    said = site.shell(
        STRONGER
        + "late = User.objects.get(username='alice')\n"
        + "now = User.objects.get(username='alice'); now.set_password('second'); now.save()\n"
        + f"assert late.check_password({password_of('alice')!r})\n"
        + "print(User.objects.get(username='alice').check_password('second'))"
    )
    assert said == "True"


@pytest.mark.skipif(django.VERSION < (5, 0), reason="verifying a password can be awaited from Django 5.0 on")
@on(package())
def test_an_upgrade_that_is_awaited_asks_for_nothing(site):
    said = site.shell(
        STRONGER
        + "from asgiref.sync import async_to_sync\n"
        + "user = User.objects.get(username='alice')\n"
        + f"assert async_to_sync(user.acheck_password)({password_of('alice')!r})\n"
        + "print(User.objects.get(username='alice').password)"
    )
    assert said.startswith("pbkdf2_sha256$")
    assert site.revocations(site.user_id("alice")) == []


@on(package())
def test_a_request_whose_session_has_ended_meanwhile_changes_no_password(site):
    key = site.logged_in("alice").session_key
    request = REQUEST.format(key=key, password=password_of("alice"))

    said = site.shell(
        f"{request}\n"
        "request.session.load(); Session.objects.filter(pk=request.session.session_key).delete()\n"
        "try:\n"
        "    with keeping(request): request.user.set_password('mine'); request.user.save()\n"
        "except SessionInterrupted as error: print(error)\n"
        "print(User.objects.get(username='alice').check_password('mine'))"
    )

    assert "The session has ended" in said and said.endswith("False")
    assert site.revocations(site.user_id("alice")) == []


@on(package())
def test_of_two_changes_at_once_the_one_that_verified_the_old_password_does_not_win(site):
    key = site.logged_in("alice").session_key
    request = REQUEST.format(key=key, password=password_of("alice"))

    said = site.shell(
        f"{request}\n"
        "from django.contrib.auth.views import PasswordChangeView\n"
        "User.objects.filter(username='alice').update(password=make_password('theirs'))\n"
        "request.session = SessionStore(); request.session.create()\n"
        "try: print(PasswordChangeView.as_view(success_url='/')(request).status_code)\n"
        "except SessionInterrupted as error: print(error)\n"
        "print(User.objects.get(username='alice').check_password('theirs'))"
    )

    assert "The password has changed" in said and said.endswith("True")


@on(package())
def test_what_is_kept_is_kept_to_the_end_of_the_outer_one(site):
    key = site.logged_in("alice").session_key

    said = site.shell(
        REQUEST.format(key=key, password=password_of("alice"))
        + "with transaction.atomic():\n"
        + "    with keeping(request):\n"
        + "        with keeping(request): pass\n"
        + "        print(len(current().fetchone()[0]))\n"
        + "    print(len(current().fetchone()[0]))"
    )

    assert said.split() == ["64", "0"]


@on(package())
def test_a_login_that_had_verified_the_old_password_in_a_transaction_before_is_ended(site):
    """In autocommit no transaction spans the verification and the session; the credential version does."""
    late = site.browser()
    alice = site.user_id("alice")

    with concurrent.futures.ThreadPoolExecutor(1) as thread, site.closed_gate() as gate:
        login = thread.submit(late.log_in, "alice", password_of("alice"))
        gate.wait_for_a_login()
        site.psql("update auth_user set password = '!' where username = 'alice'")
        eventually(lambda: site.revocations(alice) != ["requested"], "the daemon has not seen the change")
        gate.open()
        login.result()
    eventually(lambda: site.session_keys() == set(), lambda: f"survived: {site.linked()}")
    site.wait_until_settled(alice)

    assert late.whoami() is None
