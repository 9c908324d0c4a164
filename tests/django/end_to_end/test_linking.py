"""The lines of linking/models.py, which docs/django.md shows: they tell whose a session is, and never break a login."""

import json

import pytest
from django_site import Kind, password_of

both_transaction_modes = pytest.mark.parametrize(
    "site",
    [pytest.param(Kind(), id="autocommit"), pytest.param(Kind(atomic_requests=True), id="atomic_requests")],
    indirect=True,
)


@both_transaction_modes
def test_a_login_links_its_session_and_a_logout_takes_the_link_away(site):
    visitor = site.visitor("umbrella")
    assert site.linked() == {}

    assert visitor.log_in("alice", password_of("alice"))
    assert site.linked() == {visitor.session_key: "alice"}
    assert visitor.remembers() == "umbrella"

    assert visitor.log_out()
    assert site.linked() == {}


@both_transaction_modes
def test_a_browser_that_changes_hands_is_linked_to_its_new_user(site):
    browser = site.logged_in("alice")
    alices = browser.session_key

    assert browser.log_in("bob", password_of("bob"))

    assert browser.session_key != alices
    assert site.linked() == {browser.session_key: "bob"}


def test_the_model_lists_the_open_sessions_of_a_user(site):
    keys = {site.logged_in("alice").session_key, site.logged_in("alice").session_key}
    site.logged_in("bob")

    listed = site.shell(
        "import json\n"
        "from django.utils.timezone import now\n"
        "alice = User.objects.get(username='alice')\n"
        "print(json.dumps([open.session.pk for open in alice.open_sessions.filter(session__expire_date__gt=now())]))"
    )

    assert set(json.loads(listed)) == keys


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(Kind(installed=False), id="autocommit"),
        pytest.param(Kind(installed=False, atomic_requests=True), id="atomic_requests"),
    ],
    indirect=True,
)
def test_without_the_schema_logins_and_password_changes_work_and_no_key_is_logged(site):
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    assert desk.change_password(password_of("alice"), "second") == 302

    assert desk.whoami() == "alice"
    # Django's own doing: it compares a hash of the password.
    assert phone.whoami() is None
    # The failures did reach the server's log, where the fixture looks for the keys.
    complaint = 'schema "session_reaper" does not exist'
    assert site.server.process.said().count(complaint) >= 3
    assert site.web.said().count(complaint) >= 3


@pytest.mark.parametrize("site", [Kind(own_role=True)], indirect=True)
def test_an_app_with_a_role_of_its_own_links_and_changes_passwords(site):
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    phone_key = phone.session_key
    assert len(site.linked()) == 2, site.web.said()

    assert desk.change_password(password_of("alice"), "second") == 302
    site.wait_until_settled(site.user_id("alice"))

    assert site.linked() == {desk.session_key: "alice"}
    assert phone_key not in site.session_keys()
    assert desk.whoami() == "alice"


@pytest.mark.parametrize("site", [Kind(own_role=True, role_is_known=False)], indirect=True)
def test_an_app_whose_role_nobody_named_still_logs_in(site):
    browser = site.logged_in("alice")

    assert browser.whoami() == "alice"
    # Not by the app. The daemon may have found it in its data already.
    own = "select count(*) from session_reaper.user_session where not from_data"
    assert site.value(own) == 0
    assert "permission denied for" in site.web.said()


@pytest.mark.parametrize("site", [Kind(installed=False)], indirect=True)
def test_the_sites_own_tests_log_in_without_the_schema_within_their_transaction(site):
    site.manage("test", "--verbosity=2", "linking")
