"""activerecord-session_store saves a session that is gone under a new id, with all that was in it."""

import pytest
from apps import APPS, wanted
from test_apps import in_flight
from test_apps import site as site
from waiting import eventually

marshal = [app for app in APPS if app.name == "rails-marshal" and app in wanted()]


@pytest.fixture
def served(site):
    site.reaper("migrate")
    site.start_daemon()
    return site


only_rails = pytest.mark.parametrize("site", marshal, indirect=True, ids=lambda app: app.name)


@only_rails
def test_what_a_request_in_flight_saves_under_a_new_id_devise_refuses_after_a_new_password(served):
    hers = served.logged_in("alice")
    with in_flight(served, hers):
        served.change_password("alice", like="spare")
        eventually(lambda: hers.key not in served.keys(), "not ended")
    served.wait_until_settled()

    # Devise keeps the salt of the old password in it.
    assert hers.account() is None


@only_rails
def test_what_a_request_in_flight_saves_under_a_new_id_outlives_a_revocation_without_a_new_password(served):
    """A limit, and no promise: to the database it is a login like any other. A second revocation ends it."""
    hers = served.logged_in("alice")
    revoke = "select session_reaper.revoke_user(id, 'stolen') from users where name = 'alice'"
    with in_flight(served, hers):
        served.db.execute(revoke)
        eventually(lambda: hers.key not in served.keys(), "not ended")
    served.wait_until_settled()
    assert hers.account() == "alice"

    served.db.execute(revoke)

    served.wait_until_settled()
    assert hers.account() is None
