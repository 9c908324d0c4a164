"""A site with several databases: its users and sessions are in the second one."""

import dataclasses

import pytest
from django_site import REAPER, password_of
from kinds import on, package


@pytest.fixture
def routed(site, server):
    """The site, which now has another default database; its router knows nothing of session-reaper."""
    elsewhere = f"{site.database}_elsewhere"
    server.create_database(elsewhere)
    more = (("ELSEWHERE", elsewhere), ("SESSION_REAPER_BIN", str(REAPER)))
    site.kind = dataclasses.replace(site.kind, more=more)
    for alias in ("default", "accounts"):
        site.manage("migrate", "--database", alias)
    site.web = site.start_web()
    yield site
    site.webs.pop().stop()
    server.drop_database(elsewhere)


@on(package("session_reaper.devices"))
def test_everything_goes_to_the_database_of_the_sessions(routed):
    site = routed
    desk, phone, bob = site.logged_in("alice"), site.logged_in("alice"), site.logged_in("bob")
    assert set(site.linked().values()) == {"alice", "bob"}
    assert site.value("select count(*) from session_reaper_devices_device") == 3

    page = desk.request("/account/sessions/")[1]
    assert page.count('name="handle"') == 2
    desk.submit("/account/sessions/", fields_to="/account/sessions/end-others/")
    site.wait_until_settled(site.user_id("alice"))
    assert (desk.whoami(), phone.whoami()) == ("alice", None)
    assert desk.change_password(password_of("alice"), "second") == 302
    assert desk.whoami() == "alice"

    admin = site.browser()
    assert admin.log_in("admin", password_of("admin"), path="/admin/login/?next=/admin/")
    bob_page = f"/admin/auth/user/{site.user_id('bob')}/sessions/"
    assert admin.submit(bob_page, reason="stolen")[0] == 302
    site.wait_until_settled(site.user_id("bob"))
    assert bob.whoami() is None
    assert "stolen" in admin.request("/admin/session_reaper/revocation/")[1]


@on(package())
def test_the_commands_and_checks_go_there_and_using_names_another(routed):
    site = routed
    desk = site.logged_in("alice")

    assert "1 open session" in site.manage("session_reaper", "sessions", "alice") or desk.session_key
    assert "no issues" in site.manage("check", "--database", "accounts")
    said = site.shell(
        "from session_reaper import *; alice = User.objects.get(username='alice')\n"
        "try: delete_user_sessions(alice, using='default')\n"
        "except Unavailable as error: print(error)\n"
        "print(alice.open_sessions.count(), delete_user_sessions(alice) is not None)"
    )
    assert "not installed in this database" in said and said.endswith("1 True")
    site.wait_until_settled(site.user_id("alice"))
    assert desk.whoami() is None
