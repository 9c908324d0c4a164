"""Two firewalls of Symfony's, and users whose class keeps no property by a name."""

import dataclasses

import pytest
from apps import APPS, wanted
from test_apps import PASSWORDS
from test_apps import site as site
from waiting import eventually

by_name = {app.name: app for app in APPS}
is_wanted = any(app.name.startswith("symfony") for app in wanted())
one = by_name["symfony-object"]
of_main = dataclasses.replace(
    one,
    name="symfony-main",
    site=one.site + '\ndata_column = "sess_data"\ncodec = { format = "symfony", user = ["_security_main", "id"] }',
)
listed = dataclasses.replace(one, name="symfony-listed", variables={"IDS": "listed"})


def only(app):
    return pytest.mark.parametrize("site", [app] if is_wanted else [], indirect=True, ids=lambda app: app.name)


@pytest.fixture
def served(site):
    site.reaper("migrate")
    site.start_daemon()
    return site


def log_in_to_both(site, main, admin):
    client = site.logged_in(main)
    fields = {"username": admin, "password": PASSWORDS[admin]}
    before = site.keys()
    assert client.request("/admin/login", fields) == (200, admin)
    # The login gives the session a new id.
    (client.key,) = site.keys() - before
    assert (client.account(), client.request("/admin/account")[1]) == (main, admin)
    return client


@only(one)
def test_a_user_of_both_firewalls_is_one(served):
    hers, bob = log_in_to_both(served, "alice", "alice"), served.logged_in("bob")

    served.change_password("alice", like="spare")

    eventually(lambda: hers.key not in served.keys(), "not ended")
    served.wait_until_settled()
    assert (hers.account(), hers.request("/admin/account")[0], bob.account()) == (None, 401, "bob")


@only(one)
def test_a_session_of_two_users_is_told_of_and_not_guessed(served):
    log_in_to_both(served, "alice", "bob")

    eventually(lambda: "ambiguous" in served.reaper_says("status"), "not told of")


@only(of_main)
def test_a_session_of_two_users_is_that_of_the_firewall_that_the_settings_name(served):
    hers = log_in_to_both(served, "alice", "bob")
    served.change_password("bob", like="spare")
    served.wait_until_settled()
    assert hers.account() == "alice"

    served.change_password("alice", like="spare")

    eventually(lambda: hers.key not in served.keys(), "not ended")
    served.wait_until_settled()
    assert hers.account() is None


@only(listed)
def test_a_user_who_is_serialized_without_names_is_told_of(served):
    served.logged_in("alice")

    eventually(lambda: "not_key" in served.reaper_says("status"), "not told of")
