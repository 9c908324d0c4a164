"""A site that knows nothing of session-reaper: whose a session is stands in the session's data alone."""

import base64
import json

import pytest
from django_site import USER_MODELS, Kind, password_of
from waiting import eventually

# Written by Django 5.2 and 3.2 with a PickleSerializer.
PICKLED = (
    ".eJxrYJ26gQECaqdo9PDGJ5aWZMSXFqcWxWemTOlhMjGa0iOEJJiUmJydmgeU0UzJSsxLz9dLzs8rKcpM0gMp0YPKFuv55qek5jj"
    "B1PIjGZCRWJwxpcfBwNDI2MTUzNzCMjEpOSU1jVT-lFI9AAktP3M:1xVeIm:3AysZK5naeB-1KbpbOJip0Uaytdy85PWl8EBoTdL"
    "HLo"
)
OLD_PICKLED = (
    "ZWI2YWE1MTUwNTgwMTNmMjBjZGZmZTJlYzEzYzZhZDczMjljMDJkMTqABZWwAAAAAAAAAH2UKIwNX2F1dGhfdXNlcl9pZJSMAjQy"
    "lIwSX2F1dGhfdXNlcl9iYWNrZW5klIwpZGphbmdvLmNvbnRyaWIuYXV0aC5iYWNrZW5kcy5Nb2RlbEJhY2tlbmSUjA9fYXV0aF91"
    "c2VyX2hhc2iUjEAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"
    "lHUu"
)


def every_kind(**options):
    """Each type of key in autocommit, and with a transaction a request."""
    kinds = {
        f"{key}_{'atomic_requests' if atomic else 'autocommit'}": Kind(
            linking=False, user_model=model, atomic_requests=atomic, **options
        )
        for key, model in USER_MODELS.items()
        for atomic in (False, True)
    }
    return pytest.mark.parametrize("site", [pytest.param(kind, id=name) for name, kind in kinds.items()], indirect=True)


def set_password_by_psql(site, username):
    site.psql(f"update {site.kind.user_table} set password = '!' where username = '{username}'")


def write(site, key, data):
    """A session as the release of Django that wrote it left it in the table, which this one may not read."""
    site.db.execute("insert into django_session values (%s, %s, now() + interval '14 days')", [key, data])
    # The site's fixture looks for the keys and the data in the logs.
    site.browser().keys_held.update({key, data})


def written_before_3_1(entries):
    """`base64(signature:json)`, as SessionBase.encode had it."""
    return base64.b64encode(b"0123456789abcdef0123456789abcdef01234567:" + json.dumps(entries).encode()).decode()


def unreadable(site):
    return dict(site.rows("select reason, writes from session_reaper.unreadable"))


@every_kind()
def test_a_login_and_a_logout_are_noticed_and_a_cart_is_nobodys(site):
    visitor, other = site.visitor("umbrella"), site.visitor("raincoat")
    browser = site.logged_in("alice")
    assert visitor.log_in("bob", password_of("bob"))
    site.wait_until_linked([browser.session_key], "alice")
    site.wait_until_linked([visitor.session_key], "bob")
    assert set(site.linked()) == {browser.session_key, visitor.session_key}

    assert browser.log_out()
    site.wait_until_linked([visitor.session_key], "bob")

    assert site.linked() == {visitor.session_key: "bob"}
    assert visitor.remembers() == "umbrella"
    assert other.remembers() == "raincoat"


@every_kind(installed=False)
def test_a_session_from_before_the_installation_is_ended(site):
    old, other, visitor = site.logged_in("alice"), site.logged_in("bob"), site.visitor("umbrella")
    site.reaper("migrate")
    site.start_daemon()

    set_password_by_psql(site, "alice")
    site.wait_until_settled(site.user_id("alice"))

    assert site.session_keys() == {other.session_key, visitor.session_key}
    assert old.whoami() is None
    assert (other.whoami(), visitor.remembers()) == ("bob", "umbrella")


@every_kind()
def test_what_happened_while_there_was_no_daemon_is_made_up_for(site):
    site.stop_daemon()
    old, other, visitor = site.logged_in("alice"), site.logged_in("bob"), site.visitor("umbrella")
    set_password_by_psql(site, "alice")
    site.shell("User.objects.filter(username='alice').update(password=make_password('second'))")
    new = site.logged_in("alice", "second")
    assert old.session_key in site.session_keys(), "ended already: this tests nothing"

    site.start_daemon()
    site.wait_until_settled(site.user_id("alice"))

    assert site.session_keys() == {new.session_key, other.session_key, visitor.session_key}
    assert old.whoami() is None
    assert (new.whoami(), other.whoami(), visitor.remembers()) == ("alice", "bob", "umbrella")


@every_kind()
def test_the_browser_that_changes_the_password_while_there_was_no_daemon_stays_logged_in(site):
    site.stop_daemon()
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    assert desk.change_password(password_of("alice"), "second") == 302

    site.start_daemon()
    site.wait_until_settled(site.user_id("alice"))

    assert site.session_keys() == {desk.session_key}
    assert desk.whoami() == "alice"
    assert phone.whoami() is None


@every_kind()
def test_a_deleted_users_sessions_go_although_nobody_had_linked_them(site):
    site.stop_daemon()
    browsers = [site.logged_in("alice"), site.logged_in("alice")]
    other, visitor = site.logged_in("bob"), site.visitor("umbrella")
    assert site.linked() == {}, "linked already: this tests nothing"
    alice = site.user_id("alice")
    site.psql(f"delete from {site.kind.user_table} where username = 'alice'")

    site.start_daemon()
    others = {other.session_key, visitor.session_key}
    eventually(
        lambda: site.session_keys() == others, lambda: f"left: {len(site.session_keys())}\n{site.daemon.said()}"
    )
    site.wait_until_settled(alice)

    assert [browser.whoami() for browser in browsers] == [None, None]
    assert (other.whoami(), visitor.remembers()) == ("bob", "umbrella")


@every_kind(installed=False)
def test_sessions_of_django_before_3_1_are_read_and_pickles_and_garbage_are_counted(site):
    def fill(when):
        alice, bob = ({"_auth_user_id": str(site.user_id(name)), "word": "x"} for name in ("alice", "bob"))
        write(site, f"of-alice-{when}-0123456789", written_before_3_1(alice))
        write(site, f"of-bob-{when}-0123456789", written_before_3_1(bob))
        write(site, f"of-nobody-{when}-0123456789", written_before_3_1({}))
        write(site, f"pickled-{when}-0123456789", PICKLED)
        write(site, f"old-pickled-{when}-0123456789", OLD_PICKLED)
        write(site, f"garbage-{when}-0123456789", "this-is-garbage-and-no-session !")

    fill("before")
    site.reaper("migrate")
    site.start_daemon()
    assert sum(unreadable(site).values()) == 3
    fill("after")
    kept = site.logged_in("bob")
    site.wait_until_linked(["of-alice-after-0123456789"], "alice")

    set_password_by_psql(site, "alice")
    site.wait_until_settled(site.user_id("alice"))

    assert {key for key in site.session_keys() if "alice" in key} == set()
    # Each of the other five, twice, and that of the login.
    assert len(site.session_keys()) == 11
    assert kept.whoami() == "bob"
    found = unreadable(site)
    assert (found.pop("pickled"), sum(found.values())) == (4, 2), found


@pytest.mark.parametrize("site", [Kind(linking=False)], indirect=True)
@pytest.mark.parametrize("locked", ["django_session", "auth_user"])
def test_what_is_locked_holds_up_no_other_and_is_linked_once_it_is_free(site, locked):
    site.stop_daemon()
    alice, bob = site.logged_in("alice"), site.logged_in("bob")
    write(site, "of-a-stranger-0123456789", written_before_3_1({"_auth_user_id": "999999"}))
    condition, value = {
        "django_session": ("session_key = %s", alice.session_key),
        "auth_user": ("username = %s", "alice"),
    }[locked]

    with site.server.connect(site.database) as holder:
        holder.execute("begin")
        holder.execute(f"select from {locked} where {condition} for update", [value])
        site.start_daemon()
        site.wait_until_linked([bob.session_key], "bob")
        assert set(site.linked()) == {bob.session_key}
        holder.execute("commit")
    site.wait_until_linked([alice.session_key], "alice")

    assert set(site.linked()) == {alice.session_key, bob.session_key}
    said = site.server.process.said()[site._log_begins :]
    assert "foreign key" not in said and "lock timeout" not in said, said


@pytest.mark.parametrize("site", [Kind(linking=False)], indirect=True)
def test_what_is_put_back_is_read_again_although_a_later_transaction_has_ended(site):
    site.stop_daemon()
    alice = site.logged_in("alice")
    with site.server.connect(site.database) as holder, site.server.connect(site.database) as reader:
        holder.execute("begin")
        holder.execute("select from django_session where session_key = %s for update", [alice.session_key])
        # As the daemon does it, with a transaction that begins later and ends earlier.
        reader.execute("begin")
        reader.execute("select pg_current_xact_id()")
        site.db.execute("select pg_current_xact_id()")
        taken = reader.execute("select place, seen::text from session_reaper.take_pending_links(100, true)").fetchall()
        places, seen = [place for place, _ in taken], taken[-1][1]
        postponed = reader.execute(
            "select postponed from session_reaper.link_pending(%s, %s::\"char\"[], %s, %s::pg_snapshot)",
            [places, ["u"] * len(taken), [str(site.user_id("alice")).encode()] * len(taken), seen],
        ).fetchone()[0]
        assert postponed == len(taken) > 0
        reader.execute("commit")
        holder.execute("commit")

    found = "select count(*) from session_reaper.drain q, session_reaper.pending_since(q.drained_to)"
    assert site.value(found) == postponed
