"""Sites that leave another package, with everybody staying logged in: the real packages, before and after."""

from django_site import Kind
from kinds import PACKAGE, WITH_DEVICES, on

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW = {"ENGINE_OF_SESSIONS": "django.contrib.sessions.backends.db"}


def using(app, engine, middleware):
    more = {"ENGINE_OF_SESSIONS": engine, "SESSION_MIDDLEWARE": middleware}
    return Kind(apps=(app, *PACKAGE), installed=False, served=False, more=tuple(more.items()))


PACKAGES = {
    "django-user-sessions": using(
        "user_sessions", "user_sessions.backends.db", "user_sessions.middleware.SessionMiddleware"
    ),
    "django-qsessions": using("qsessions", "qsessions.backends.db", "qsessions.middleware.SessionMiddleware"),
    "allauth-usersessions": Kind(
        apps=("allauth", "allauth.account", "allauth.usersessions", *PACKAGE), installed=False, served=False
    ),
}
MIDDLEWARE = {"SESSION_MIDDLEWARE": "django.contrib.sessions.middleware.SessionMiddleware"}


@on(**PACKAGES)
def test_everybody_stays_logged_in(site):
    package = next(name for name, kind in PACKAGES.items() if kind == site.kind)
    alice, bob = site.browser(), site.browser()
    for browser, name in ((alice, "alice"), (bob, "bob")):
        browser.user_agent = AGENT
        assert browser.log_in(name, f"first-password-of-{name}")
        assert browser.whoami() == name

    kept = tuple(app for app in site.kind.apps if not app.startswith(("allauth", "session_reaper")))
    site.kind = Kind(apps=(*kept, *WITH_DEVICES), installed=False, served=False)
    site.manage("migrate")
    dry = site.manage("session_reaper_adopt", package, "--dry-run")
    said = site.manage("session_reaper_adopt", package)
    again = site.manage("session_reaper_adopt", package)
    assert "dry run" in dry and "2 devices copied." in dry
    assert "2 devices copied." in said and "0 devices copied." in again
    if kept:
        assert "2 sessions copied" in said and "0 sessions copied" in again
    site.reaper("migrate")
    site.start_daemon()
    after = site.start_web(**NEW, **MIDDLEWARE)
    for browser in (alice, bob):
        browser.site_url = after.url
    assert (alice.whoami(), bob.whoami()) == ("alice", "bob")
    site.wait_until_table_is_read()
    assert "Firefox on Linux" in alice.request("/account/sessions/")[1]
    site.shell("from session_reaper import *; delete_user_sessions(User.objects.get(username='alice'))")
    site.wait_until_settled(site.user_id("alice"))
    assert (alice.whoami(), bob.whoami()) == (None, "bob")
