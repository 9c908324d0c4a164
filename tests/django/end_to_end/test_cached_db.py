"""A site with `cached_db`, which answers from its cache without asking the table: a session that has ended is forgotten
there, too (P5)."""

import concurrent.futures
import contextlib

import pytest
from caches import CACHES
from django_site import Kind, password_of
from waiting import eventually

# No test waits for this; each has to get something in before it is over.
LONG_GRACE_S = 600


def every_cache(names=tuple(CACHES), **options):
    kinds = [pytest.param(Kind(cache=name, linking=False, **options), id=name) for name in names]
    return pytest.mark.parametrize("site", kinds, indirect=True)


def warm(*browsers):
    """Has each browser's session cached: from now on nobody asks the table for it."""
    for browser in browsers:
        assert browser.whoami()
        assert browser.site.cache.holds(browser.session_key), "not cached: this tests nothing"


def logged_in(site, username, times=1, **where):
    browsers = [site.logged_in(username, **where) for _ in range(times)]
    for browser in browsers:
        browser.site = site
    warm(*browsers)
    if site.daemon:
        site.wait_until_linked([browser.session_key for browser in browsers], username)
    return browsers


def evicted(site, *browsers):
    return not any(site.cache.holds(browser.session_key) for browser in browsers)


def wait_until_evicted(site, *browsers):
    eventually(
        lambda: evicted(site, *browsers), lambda: f"still cached\n{site.daemon.said() if site.daemon else 'no daemon'}"
    )


def evicted_once(site):
    """Sessions that are due once more after the grace."""
    return site.value("select count(*) from session_reaper.pending_eviction where evicted_at is not null")


def let_the_grace_pass(site):
    """What is seen before is then seen on a slow machine, too, and nobody waits for it."""
    site.psql(f"update session_reaper.pending_eviction set evicted_at = evicted_at - interval '{LONG_GRACE_S} s'")


@every_cache(installed=False)
def test_without_session_reaper_a_session_that_is_deleted_in_the_table_lives_on(site):
    (alice,) = logged_in(site, "alice")
    site.psql("delete from django_session")
    assert alice.whoami() == "alice"


@every_cache(refill_grace_s=LONG_GRACE_S)
def test_a_warm_session_is_refused_once_it_is_revoked_and_nobody_elses_is(site):
    hers = logged_in(site, "alice", times=6)
    (bob,), visitor = logged_in(site, "bob"), site.visitor("umbrella")
    if site.kind.cache == "memcached":
        holders = {site.cache.holders(browser.session_key)[0] for browser in hers}
        assert len(holders) == 2, "one of the servers holds nothing: this tests little"

    # The daemon shares the work: whatever is noted first, both have to agree.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        revoking = thread.submit(site.reaper, "revoke", str(site.user_id("alice")))
        wait_until_evicted(site, *hers)
        assert [browser.whoami() for browser in hers] == [None] * len(hers)
        again = site.logged_in("alice")
        eventually(lambda: evicted_once(site) == len(hers), "not noted as evicted once")
        assert site.revocations(site.user_id("alice")) == ["revoked"]
        let_the_grace_pass(site)
        revoking.result()

    site.wait_until_settled(site.user_id("alice"))
    assert site.value("select count(*) from session_reaper.pending_eviction") == 0
    assert site.value("select sessions from session_reaper.eviction") == len(hers)
    assert evicted(site, *hers)
    assert [browser.whoami() for browser in hers] == [None] * len(hers)
    assert site.cache.holds(bob.session_key) and site.cache.holds(again.session_key)
    assert (again.whoami(), bob.whoami(), visitor.remembers()) == ("alice", "bob", "umbrella")


def by_deactivation(site, browser):
    site.shell("User.objects.filter(username='alice').update(is_active=False)")


def by_deleting_the_user_in_the_admin(site, browser):
    delete_in_the_admin(site, f"auth/user/{site.user_id('alice')}")


def by_deleting_the_user_in_psql(site, browser):
    site.psql("delete from auth_user where username = 'alice'")


def by_revoke_session(site, browser):
    site.db.execute("select session_reaper.revoke_session(%s)", [browser.session_key])


def by_deleting_the_session_in_the_admin(site, browser):
    delete_in_the_admin(site, f"sessions/session/{browser.session_key}")


def by_deleting_the_session_in_psql(site, browser):
    site.psql(
        "delete from django_session s using session_reaper.user_session l, auth_user u"
        " where u.username = 'alice' and l.user_id = u.id and s.session_key = l.session_key"
    )


def delete_in_the_admin(site, page):
    administrator = site.browser()
    assert administrator.log_in("admin", password_of("admin"), path="/admin/login/")
    status, answer = administrator.submit(f"/admin/{page}/delete/", post="yes")
    assert status == 302, answer


@every_cache(names=["redis"])
@pytest.mark.parametrize(
    "end",
    [
        by_deactivation,
        by_deleting_the_user_in_the_admin,
        by_deleting_the_user_in_psql,
        by_revoke_session,
        by_deleting_the_session_in_the_admin,
        by_deleting_the_session_in_psql,
    ],
    ids=lambda end: end.__name__,
)
def test_whoever_ends_a_session_it_is_evicted(site, end):
    (alice,), (bob,) = logged_in(site, "alice"), logged_in(site, "bob")

    end(site, alice)
    wait_until_evicted(site, alice)
    eventually(lambda: site.value("select count(*) from session_reaper.pending_eviction") == 0, "still to evict")

    # Django would refuse a deleted or deactivated user's by itself; but whoever comes back must not find it again.
    assert evicted(site, alice)
    assert alice.whoami() is None
    assert site.cache.holds(bob.session_key)
    assert bob.whoami() == "bob"


@every_cache()
def test_what_ended_without_a_daemon_is_evicted_by_the_next_one(site):
    hers, (bob,) = logged_in(site, "alice", times=2), logged_in(site, "bob")
    site.stop_daemon()
    site.shell("User.objects.filter(username='alice').update(password=make_password('second'))")
    keys = {browser.session_key for browser in hers}
    assert not keys & site.session_keys(), "not ended inline: this tests nothing"
    assert all(site.cache.holds(key) for key in keys), "not cached any more: this tests nothing"

    site.start_daemon()
    site.wait_until_settled(site.user_id("alice"))

    assert evicted(site, *hers)
    assert [browser.whoami() for browser in hers] == [None, None]
    assert site.cache.holds(bob.session_key)
    assert bob.whoami() == "bob"


def read(site, browser, web):
    """A request that asks the table, since the cache has lost the session."""
    site.cache.forget(browser.session_key)
    browser.site_url = web.url
    return browser.whoami


def save(site, browser, web):
    """A request that changes the session."""
    browser.site_url = web.url
    return lambda: browser.request("/remember/umbrella/")


@contextlib.contextmanager
def overtaken(site, browser, prepare):
    """A request that has read the session's row, or written it, and fills the cache only when this has ended; without
    a transaction, so that nothing in the database tells of it."""
    gate = site.directory / "gate"
    web = site.start_web(CACHE_GATE=str(gate))
    request = prepare(site, browser, web)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        in_flight = thread.submit(request)
        web.wait_until(lambda: "about to fill the cache" in web.said(), "about to fill the cache")
        try:
            yield
        finally:
            gate.touch()
        in_flight.result()
    browser.site_url = site.web.url


def revoke(site, browser):
    site.db.execute("select session_reaper.revoke_user(%s)", [site.user_id("alice")])


both_races = pytest.mark.parametrize("prepare", [read, save], ids=lambda prepare: prepare.__name__)


@every_cache(names=["redis", "memcached", "table"], refill_grace_s=LONG_GRACE_S)
@both_races
def test_a_request_that_fills_the_cache_after_the_eviction_brings_no_session_back(site, prepare):
    (alice,), (bob,) = logged_in(site, "alice"), logged_in(site, "bob")

    with overtaken(site, alice, prepare):
        revoke(site, alice)
        eventually(lambda: evicted_once(site) == 1, lambda: f"not evicted:\n{site.daemon.said()}")
        assert evicted(site, alice)
        assert alice.session_key not in site.session_keys()
    # The race as such is won.
    assert site.cache.holds(alice.session_key)
    assert alice.whoami() == "alice"
    assert site.revocations(site.user_id("alice")) == ["revoked"]

    let_the_grace_pass(site)
    site.wait_until_settled(site.user_id("alice"))
    assert evicted(site, alice)
    assert alice.whoami() is None
    assert bob.whoami() == "bob"


@every_cache(names=["redis"], refill_grace_s=0)
@both_races
def test_without_a_grace_such_a_request_does_bring_it_back(site, prepare):
    """What the grace is for. Were the race not real, this would fail."""
    (alice,) = logged_in(site, "alice")

    with overtaken(site, alice, prepare):
        revoke(site, alice)
        site.wait_until_settled(site.user_id("alice"))
        assert evicted(site, alice)

    assert alice.whoami() == "alice"
