"""Sessions that ran out leave the table; those that are alive stay."""

import pytest
from django_site import Kind
from waiting import eventually

EVERY_SECOND = "* * * * * *"


def let_expire(site, *browsers):
    keys = [browser.session_key for browser in browsers]
    site.rows(
        "update django_session set expire_date = now() - interval '1 second' where session_key = any(%s)"
        " returning session_key",
        keys,
    )
    return set(keys)


@pytest.mark.parametrize("site", [Kind(purge_schedule=EVERY_SECOND)], indirect=True)
def test_the_schedule_purges_expired_sessions_and_leaves_the_living(site):
    alive = [site.logged_in("alice"), site.logged_in("bob"), site.visitor("umbrella")]

    # Twice: the schedule goes on.
    for _ in range(2):
        expired = let_expire(site, site.logged_in("alice"), site.visitor("raincoat"))
        eventually(lambda gone=expired: not gone & site.session_keys(), lambda: f"never purged:\n{site.daemon.said()}")

    assert site.session_keys() == {browser.session_key for browser in alive}
    assert alive[0].whoami() == "alice"
    assert alive[1].whoami() == "bob"
    assert alive[2].remembers() == "umbrella"
    assert set(site.linked().values()) == {"alice", "bob"}


def test_clearsessions_works_beside_the_schema(site):
    alive, expired = site.logged_in("alice"), site.logged_in("alice")
    gone = let_expire(site, expired, site.visitor("raincoat"))

    site.manage("clearsessions")

    assert not gone & site.session_keys()
    assert site.linked() == {alive.session_key: "alice"}
    assert alive.whoami() == "alice"
