"""The site under gunicorn, in real browsers."""

import contextlib
import itertools

import pytest
from chromium import Chromium
from django_site import password_of
from kinds import on, package
from waiting import eventually

# The second one caches its sessions in Redis, beside their table.
STORES = {"db": package("session_reaper.devices"), "cached_db": package("session_reaper.devices", cache="redis")}


@pytest.fixture
def browse(site, tmp_path):
    site.start_gunicorn()
    site.web = site.webs[-1]
    numbers = itertools.count()
    with contextlib.ExitStack() as opened:

        def open_one():
            browser = Chromium(site, tmp_path / f"profile-{next(numbers)}")
            opened.callback(browser.close)
            return browser

        yield open_one


def is_logged_out(browser):
    eventually(lambda: not browser.whoami(), "still logged in")


@on(**STORES)
def test_one_browser_ends_another_from_the_page(site, browse):
    desk, phone = browse(), browse()
    for browser in (desk, phone):
        browser.log_in("alice")

    desk.open("/account/sessions/")
    rows = desk.all("tbody tr")
    assert len(rows) == 2
    assert "This browser" in rows[0].text and "Chrome on Linux" in rows[0].text
    assert "This browser" not in rows[1].text and "Chrome on Linux" in rows[1].text
    desk.picture(f"sessions-{site.database}")
    desk.click("tbody tr:nth-child(2) button")

    assert desk.shows("The session has been ended.")
    is_logged_out(phone)
    assert "alice" in desk.whoami()


@on(**STORES)
def test_one_browser_ends_all_others_at_once(site, browse):
    desk, phone, other = browse(), browse(), browse()
    for browser in (desk, phone):
        browser.log_in("alice")
    other.log_in("bob")

    desk.open("/account/sessions/")
    desk.press("End all other sessions")

    assert desk.shows("All other sessions have been ended.")
    is_logged_out(phone)
    assert "alice" in desk.whoami()
    assert "bob" in other.whoami()


@on(
    **STORES,
    unfold=package("session_reaper.devices", "unfold"),
)
def test_the_admin_ends_both(site, browse):
    desk, phone, admin = browse(), browse(), browse()
    for browser in (desk, phone):
        browser.log_in("alice")
    admin.log_in("admin", "/admin/login/?next=/admin/")
    theme = "unfold" if "unfold" in site.kind.apps else "admin"

    admin.open(f"/admin/auth/user/{site.user_id('alice')}/change/")
    assert admin.text().count("Chrome on Linux") == 2
    admin.driver.execute_script("document.querySelector('code').scrollIntoView({block: 'center'})")
    admin.picture(f"{theme}-user")
    admin.driver.execute_script("scrollTo(0, 0)")
    admin.press("Log out everywhere")
    admin.find("[name=reason]").send_keys("laptop stolen")
    admin.picture(f"{theme}-log-out")
    admin.press("Log out everywhere")

    assert admin.shows("Logged out everywhere: alice.")
    is_logged_out(desk)
    is_logged_out(phone)
    admin.open("/admin/session_reaper/revocation/")
    assert admin.shows("laptop stolen", "alice")
    admin.picture(f"{theme}-revocations")


@on(**STORES)
def test_a_password_change_keeps_the_browser_that_made_it(site, browse):
    desk, phone = browse(), browse()
    for browser in (desk, phone):
        browser.log_in("alice")

    desk.open("/password/")
    desk.find("[name=old_password]").send_keys(password_of("alice"))
    for name in ("new_password1", "new_password2"):
        desk.find(f"[name={name}]").send_keys("second")
    desk.find("[name=new_password2]").submit()
    site.note_key(desk.driver.get_cookie("sessionid")["value"])

    site.wait_until_settled(site.user_id("alice"))
    assert "alice" in desk.whoami()
    is_logged_out(phone)


@on(german=package("session_reaper.devices", more=(("SITE_LANGUAGE", "de"),)))
def test_the_page_speaks_german(site, browse):
    desk = browse()
    desk.log_in("alice")

    desk.open("/account/sessions/")

    assert desk.shows("Ihre Sitzungen", "Dieser Browser", "Chrome unter Linux")
    assert desk.find("html").get_attribute("lang") == "de"
    desk.picture("sessions-german")
