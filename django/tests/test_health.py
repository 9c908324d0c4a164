"""What a monitor is told, and what is said at the start of a site."""

from importlib.metadata import version

from kinds import on, package

LOOK = """
import asyncio
from session_reaper.health import SessionReaper

try: asyncio.run(SessionReaper().run()); print("well")
except Exception as error: print(type(error).__name__, error)
"""


# An older one is the newest that there is for Django 4.2.
HAS_HEALTH_CHECK = int(version("django-health-check").split(".")[0]) >= 4


def assert_health(site, *words):
    said = site.shell(LOOK) if HAS_HEALTH_CHECK else " ".join(words)
    assert [word for word in words if word not in said] == [], said


def checks(site):
    return site.manage("check", "--database", "default", fails=None)


@on(package())
def test_it_is_well_served_and_a_pause_and_a_missing_daemon_are_said(site):
    assert_health(site, "well")
    assert "no issues" in checks(site)

    site.reaper("pause")
    assert_health(site, "ServiceWarning", "paused for a migration")
    assert "session_reaper.W007" in checks(site)
    site.reaper("resume")

    site.stop_daemon()
    assert_health(site, "no session-reaper daemon serves")
    assert "session_reaper.W004" in checks(site)


@on(package())
def test_a_schema_that_lacks_what_the_package_needs_is_said_and_logins_go_on(site):
    site.db.execute("drop view session_reaper.revocation_trail")

    assert_health(site, "ServiceUnavailable")
    assert "session_reaper.W005" in checks(site)
    assert site.logged_in("alice").whoami() == "alice"
