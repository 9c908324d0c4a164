"""A login verifies the old password, the password changes, and only then the login opens its session, in a transaction
that began after the change: no schema can tell it from a new one. With the site's SECRET_KEY the daemon can, by the
hash in the session."""

import concurrent.futures

import pytest
from django_site import USER_MODELS, Kind, password_of
from waiting import eventually

SITES_KEY = "a-test-site-has-no-secrets"


def kind(*keys, **options):
    return Kind(**{"linking": False, "secret_keys": keys or (SITES_KEY,)} | options)


def kinds(**by_name):
    return pytest.mark.parametrize("site", [pytest.param(of, id=name) for name, of in by_name.items()], indirect=True)


def change_password_in_sql(site, username, password):
    """By a hash that Django made, so that it can be logged in with."""
    made = site.shell(f"print(make_password({password!r}))")
    site.db.execute(f"update {site.kind.user_table} set password = %s where username = %s", [made, username])


def log_in_under_the_old_password(site, username, **where):
    """A browser whose login is overtaken by a change to the password `second`; the change is settled by then."""
    late = site.browser(**where)
    with concurrent.futures.ThreadPoolExecutor(1) as thread, site.closed_gate() as gate:
        login = thread.submit(late.log_in, username, password_of(username))
        gate.wait_for_a_login()
        change_password_in_sql(site, username, "second")
        gate.open()
        assert login.result()
    site.wait_until_linked([late.session_key], username)
    site.wait_until_settled(site.user_id(username))
    return late


def prove_the_key(site, **where):
    """Another user's login: only a session that was opened later, and whose hash is right, proves a key."""
    later = site.logged_in("carol", **where)
    site.wait_until_linked([later.session_key], "carol")
    return later


def ended_by_hash(site):
    return site.value("select count(*) from session_reaper.revocation where reason = 'stale hash'")


def wait_until_ended(site, browser, username):
    key = browser.session_key
    eventually(lambda: key not in site.session_keys(), lambda: f"not ended:\n{site.daemon.said()}")
    # Not by the change, which cannot know of it, and not by Django, which nobody has asked.
    assert ended_by_hash(site) == 1
    site.wait_until_settled(site.user_id(username))
    assert browser.whoami() is None


def wait_until_compared(site):
    """Until the daemon has looked at every session whose time has come, and has ended, or not, what it would end."""
    grace = f"interval '{site.kind.verify_after_s} seconds'"
    due = f"select coalesce(bool_and(linked_at < clock_timestamp() - {grace}), true) from session_reaper.user_session"
    eventually(lambda: site.value(due), "the sessions are not old enough")

    def looks():
        # Each look at sessions writes this row, whether it could compare them for good or not.
        return site.value("select (verified_to, xmin)::text from session_reaper.hash_check")

    left = (
        "select count(*) from session_reaper.user_session, session_reaper.hash_check"
        " where linked_at > verified_to"
    )
    # The next look may have begun before the sessions were due; the one after that began later.
    for _ in range(2):
        before = looks()
        eventually(
            lambda: site.value(left) == 0 or looks() != before,
            lambda: f"the daemon does not compare:\n{site.daemon.said()}",
        )


@kinds(
    **{key: kind(user_model=model) for key, model in USER_MODELS.items()},
    linked_by_the_app=kind(linking=True),
)
def test_a_login_that_verified_the_old_password_is_ended_and_a_later_one_is_not(site):
    bob, visitor = site.logged_in("bob"), site.visitor("umbrella")
    late = log_in_under_the_old_password(site, "alice")
    new = site.logged_in("alice", "second")

    wait_until_ended(site, late, "alice")
    wait_until_compared(site)

    assert site.session_keys() == {new.session_key, bob.session_key, visitor.session_key}
    assert (new.whoami(), bob.whoami(), visitor.remembers()) == ("alice", "bob", "umbrella")


@kinds(without_a_key=Kind(linking=False))
def test_without_the_key_such_a_session_stays_until_django_refuses_it(site):
    late = log_in_under_the_old_password(site, "alice")
    new = site.logged_in("alice", "second")
    site.wait_until_linked([new.session_key], "alice")
    # Once the daemon has dealt with a change that came later, it has had the chance to end it.
    change_password_in_sql(site, "bob", "second")
    site.wait_until_settled(site.user_id("bob"))

    assert site.session_keys() == {late.session_key, new.session_key}
    assert (late.whoami(), new.whoami()) == (None, "alice")


@kinds(both_known=kind("the-new-key", SITES_KEY))
def test_a_session_under_a_key_that_is_a_fallback_by_now_is_compared_with_that(site):
    """A site in the middle of a rotation: one process has the old key still, the other has it as a fallback."""
    rotated = site.start_web(SECRET_KEY="the-new-key", SECRET_KEY_FALLBACK=SITES_KEY)
    under_the_fallback = site.logged_in("bob")
    late = log_in_under_the_old_password(site, "alice")
    new = site.logged_in("alice", "second", web=rotated)

    wait_until_ended(site, late, "alice")
    wait_until_compared(site)

    assert site.session_keys() == {under_the_fallback.session_key, new.session_key}
    under_the_fallback.site_url = rotated.url
    assert (under_the_fallback.whoami(), new.whoami()) == ("bob", "alice")


@kinds(only_the_fallback_is_known=kind("the-old-key"))
def test_with_a_key_that_was_rotated_away_nothing_ends(site):
    """The daemon's key matches sessions from before the rotation and none from after it."""
    old = site.start_web(SECRET_KEY="the-old-key")
    rotated = site.start_web(SECRET_KEY_FALLBACK="the-old-key")
    before = prove_the_key(site, web=old)
    late = log_in_under_the_old_password(site, "alice", web=rotated)
    new = site.logged_in("alice", "second", web=rotated)
    site.wait_until_linked([new.session_key], "alice")
    wait_until_compared(site)

    assert ended_by_hash(site) == 0
    assert site.session_keys() == {before.session_key, late.session_key, new.session_key}
    before.site_url = rotated.url
    assert (before.whoami(), late.whoami(), new.whoami()) == ("carol", None, "alice")


@kinds(
    another_sites_key=kind("of-another-site"),
    a_hash_of_the_models_own=kind(user_model="sealed.Sealed"),
)
def test_a_key_that_never_proves_itself_ends_nothing(site):
    late = log_in_under_the_old_password(site, "alice")
    later = prove_the_key(site)
    wait_until_compared(site)

    assert ended_by_hash(site) == 0
    assert site.session_keys() == {late.session_key, later.session_key}
    assert (late.whoami(), later.whoami()) == (None, "carol")
    assert not any(key in site.daemon.said() for key in site.kind.secret_keys)


LOG_IN = """
from django.contrib.auth import HASH_SESSION_KEY, login
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
def log_in(username, change=lambda session: None):
    request = HttpRequest()
    request.session = SessionStore()
    user = User.objects.get(username=username)
    login(request, user, "example.auth.GatedBackend")
    change(request.session)
    request.session.save()
    print(request.session.session_key)
"""


def logged_in_by_code(site, code):
    """The keys of sessions that Django's own `login()` opened, without a browser or a gate."""
    return set(site.shell(LOG_IN + code).split())


@kinds(proven=kind())
def test_a_session_whose_hash_is_empty_or_missing_is_not_ended(site):
    bobs = logged_in_by_code(
        site,
        "log_in('bob', lambda session: session.update({HASH_SESSION_KEY: ''}))\n"
        "log_in('bob', lambda session: session.pop(HASH_SESSION_KEY))\n",
    )
    assert len(bobs) == 2
    site.wait_until_linked(bobs, "bob")
    late = log_in_under_the_old_password(site, "alice")
    later = prove_the_key(site)

    wait_until_ended(site, late, "alice")
    wait_until_compared(site)

    assert ended_by_hash(site) == 1
    assert site.session_keys() == bobs | {later.session_key}


def let_time_pass(site, *keys):
    """For these sessions alone, at which the daemon then looks again."""
    with site.db.transaction():
        site.db.execute("update session_reaper.hash_check set verified_to = '-infinity'")
        site.db.execute(
            "update session_reaper.user_session set linked_at = linked_at - interval '2 hours'"
            " where session_key = any (%s)",
            [list(keys)],
        )
    compared = "select verified_to > '-infinity' from session_reaper.hash_check"
    eventually(lambda: site.value(compared), lambda: f"the daemon does not compare:\n{site.daemon.said()}")


@kinds(an_hour=kind(verify_after_s=3600))
def test_a_session_that_goes_on_with_a_new_key_is_not_ended_before_its_request_has_saved_the_new_hash(site):
    late = log_in_under_the_old_password(site, "alice")
    proof = prove_the_key(site)
    desk = site.logged_in("bob")
    site.wait_until_linked([desk.session_key], "bob")
    others = site.session_keys()

    with concurrent.futures.ThreadPoolExecutor(1) as thread, site.closed_gate() as gate:
        path = "/password-then-wait/"
        change = thread.submit(desk.change_password, password_of("bob"), "second", path=path)
        gate.wait_for_a_login()
        (cycled,) = site.session_keys() - others
        site.wait_until_linked([cycled], "bob")
        # Opened later, so that it proves the key against the cycled one.
        (later,) = logged_in_by_code(site, "log_in('carol')")
        site.wait_until_linked([later], "carol")
        let_time_pass(site, late.session_key, proof.session_key)
        assert ended_by_hash(site) == 1
        assert cycled in site.session_keys()
        gate.open()
        assert change.result() == 302

    assert desk.session_key == cycled
    site.wait_until_settled(site.user_id("bob"))
    wait_until_ended(site, late, "alice")
    let_time_pass(site, cycled, later)
    assert ended_by_hash(site) == 1
    assert site.session_keys() == {proof.session_key, cycled, later}
    assert desk.whoami() == "bob"
