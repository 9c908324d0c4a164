"""What Laravel has beside a password: other devices, and a cookie that logs in again."""

import pytest
from apps import APPS, wanted
from test_apps import NEW, PASSWORDS
from test_apps import site as site
from waiting import eventually

laravel = [app for app in APPS if app.name == "laravel" and app in wanted()]
only_laravel = pytest.mark.parametrize("site", laravel, indirect=True)


@pytest.fixture
def served(site):
    site.reaper("migrate")
    site.start_daemon()
    return site


@only_laravel
def test_logging_out_the_other_devices_ends_their_sessions_and_keeps_this_one(served):
    hers, other = served.logged_in("alice"), served.logged_in("alice")

    assert hers.request("/others", {"password": PASSWORDS["alice"]}) == (200, "logged out")

    eventually(lambda: other.key not in served.keys(), "not ended")
    served.wait_until_settled()
    assert (hers.account(), other.account()) == ("alice", None)
    # The password is the one it was.
    assert served.logged_in("alice").account() == "alice"


@only_laravel
def test_a_remember_me_cookie_logs_in_again_but_where_laravel_looks_at_its_hash_or_the_token_changes(served):
    remembered = [served.client() for _ in range(3)]
    for client in remembered:
        fields = {"username": "alice", "password": PASSWORDS["alice"], "remember": "1"}
        assert client.request("/login", fields)[0] == 200
    again, guarded, without_token = remembered

    served.change_password("alice", like="spare")
    served.wait_until_settled()

    assert again.account() == "alice"
    # The middleware auth.session compares the hash in the cookie.
    assert guarded.request("/guarded-account")[0] == 401
    served.db.execute("update users set remember_token = 'another' where name = 'alice'")
    assert without_token.account() is None
    assert served.logged_in("alice", NEW).account() == "alice"
