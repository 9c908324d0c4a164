"""The page of one's own sessions, the endpoints, and the devices."""

import json
import re

from django_site import Kind
from kinds import PSYCOPG2, WITH_DEVICES, on, package
from waiting import eventually

PAGE = "/account/sessions/"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
    " Mobile/15E148 Safari/604.1"
)


def handles(page):
    return re.findall(r'name="handle" value="([0-9a-f]{12})"', page)


@on(package())
def test_nobody_sees_or_ends_the_sessions_of_somebody_else(site):
    alice, bob = site.logged_in("alice"), site.logged_in("bob")
    (hers,) = handles(alice.request(PAGE)[1])
    status, page = bob.request(PAGE)
    assert status == 200 and hers not in page and bob.session_key not in page

    assert bob.submit(PAGE, fields_to=f"{PAGE}end/", handle=hers)[0] == 302
    assert "There is no such session any more." in bob.request(PAGE)[1]

    assert (alice.whoami(), bob.whoami()) == ("alice", "bob")
    assert site.browser().request(PAGE)[0] == 302


@on(package())
def test_without_a_token_of_the_form_nothing_ends(site):
    desk = site.logged_in("alice")
    (handle,) = handles(desk.request(PAGE)[1])

    assert desk.request(f"{PAGE}end/", {"handle": handle})[0] == 403
    assert desk.request(f"{PAGE}end-others/", {})[0] == 403
    assert desk.request(f"{PAGE}end/")[0] == 302
    assert desk.whoami() == "alice"


@on(package())
def test_ending_this_session_logs_out(site):
    desk = site.logged_in("alice")
    (handle,) = handles(desk.request(PAGE)[1])

    desk.submit(PAGE, fields_to=f"{PAGE}end/", handle=handle)

    assert desk.whoami() is None
    assert site.linked() == {}


@on(package("rest_framework"))
def test_the_endpoints_list_and_end(site):
    desk, phone, bob = site.logged_in("alice"), site.logged_in("alice"), site.logged_in("bob")
    listed = json.loads(desk.request("/api/sessions/")[1])
    assert [row["is_current"] for row in listed] == [True, False]
    assert desk.session_key not in str(listed) and phone.session_key not in str(listed)

    assert site.shell(
        "from django.test import Client; import json\n"
        "client = Client(headers={'host': '127.0.0.1'}); client.cookies['sessionid'] = %r\n"
        "statuses = [client.delete(f'/api/sessions/{handle}/').status_code for handle in ('%s', '000000000000')]\n"
        "print(*statuses)" % (desk.session_key, listed[1]["handle"])
    ).endswith("204 404")
    eventually(lambda: phone.session_key not in site.session_keys(), "not ended")

    assert (desk.whoami(), bob.whoami()) == ("alice", "bob")
    assert site.browser().request("/api/sessions/")[0] == 403


@on(Kind(apps=WITH_DEVICES), Kind(apps=WITH_DEVICES, own_role=True))
def test_a_device_is_a_family_of_browser_and_system_and_goes_with_its_session(site):
    phone, desk = site.browser(), site.browser()
    phone.user_agent = IPHONE
    for browser in (phone, desk):
        assert browser.log_in("alice", "first-password-of-alice")

    assert "Safari on iOS" in desk.request(PAGE)[1]
    noted = site.rows("select browser, system, network from session_reaper_devices_device where browser <> ''")
    assert noted == [("Safari", "iOS", "")]
    site.db.execute("select session_reaper.revoke_user(%s)", [site.user_id("alice")])
    site.wait_until_settled(site.user_id("alice"))

    assert site.value("select count(*) from session_reaper_devices_device") == 0


@on(package())
def test_what_is_no_handle_ends_nothing_and_is_no_error(site):
    desk = site.logged_in("alice")
    every = ["", "\0", "0" * 100_000, "' or true --", "%", desk.session_key, "ABCDEF012345"]

    answers = [desk.submit(PAGE, fields_to=f"{PAGE}end/", handle=each)[0] for each in every]

    assert answers == [302] * len(every)
    assert "There is no such session any more." in desk.request(PAGE)[1]
    assert desk.whoami() == "alice"
    assert site.value("select count(*) from session_reaper.revocation") == 0


@on(package(installed=False, served=False))
def test_what_is_amiss_with_the_server_is_not_for_its_visitors(site):
    desk = site.logged_in("alice")

    desk.submit("/password/", fields_to=f"{PAGE}end-others/")

    page = desk.request(PAGE)[1]
    assert "that is not possible now" in page and "manage.py" not in page


@on(Kind(apps=WITH_DEVICES), Kind(apps=WITH_DEVICES, **PSYCOPG2))
def test_the_device_of_a_session_that_is_gone_is_not_noted_and_its_key_not_logged(site):
    """A foreign key that fails would have the server log the key."""
    gone = "k" * 32
    site.note_key(gone)

    site.shell(
        "from django.test import RequestFactory; from session_reaper.devices.recording import record\n"
        f"record({gone!r}, RequestFactory().get('/'))"
    )

    assert site.value("select count(*) from session_reaper_devices_device") == 0
    assert "violates" not in site.server.process.said()[site._log_begins :]


@on(Kind(apps=WITH_DEVICES))
def test_a_password_change_takes_the_device_along(site):
    phone = site.browser()
    phone.user_agent = IPHONE
    assert phone.log_in("alice", "first-password-of-alice")

    assert phone.change_password("first-password-of-alice", "second") == 302

    assert "Safari on iOS" in phone.request(PAGE)[1]
