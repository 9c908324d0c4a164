"""A password changes, and the sessions that were opened before end, whoever changed it."""

import concurrent.futures
import datetime
import json

import pytest
from django_site import USER_MODELS, Kind, password_of
from waiting import eventually

AUTOCOMMIT = pytest.param(Kind(), id="autocommit")
ATOMIC_REQUESTS = pytest.param(Kind(atomic_requests=True), id="atomic_requests")
UUID_AUTOCOMMIT = pytest.param(Kind(user_model="people.Person"), id="uuid_autocommit")
UUID_ATOMIC_REQUESTS = pytest.param(Kind(user_model="people.Person", atomic_requests=True), id="uuid_atomic_requests")
# Sites that know nothing of session-reaper. Django's middleware saves a login after the view, in a transaction of its
# own, so that tests of logins that had verified the old password are for sites that link.
ALONE_AUTOCOMMIT = pytest.param(Kind(linking=False), id="no_app_autocommit")
ALONE_ATOMIC_REQUESTS = pytest.param(Kind(linking=False, atomic_requests=True), id="no_app_atomic_requests")
OTHER_KEYS_ALONE = [
    pytest.param(
        Kind(linking=False, user_model=model, atomic_requests=atomic),
        id=f"no_app_{key}_{'atomic_requests' if atomic else 'autocommit'}",
    )
    for key, model in USER_MODELS.items()
    if key != "int"
    for atomic in (False, True)
]

both_transaction_modes = pytest.mark.parametrize(
    "site", [AUTOCOMMIT, ATOMIC_REQUESTS, ALONE_AUTOCOMMIT, ALONE_ATOMIC_REQUESTS], indirect=True
)
every_kind_of_site = pytest.mark.parametrize(
    "site",
    [AUTOCOMMIT, ATOMIC_REQUESTS, UUID_AUTOCOMMIT, UUID_ATOMIC_REQUESTS]
    + [ALONE_AUTOCOMMIT, ALONE_ATOMIC_REQUESTS, *OTHER_KEYS_ALONE],
    indirect=True,
)


class Bystanders:
    """Sessions that no change of alice's password may touch: another user's, and one that is nobody's."""

    def __init__(self, site):
        self.site = site
        self.bob = site.logged_in("bob")
        self.visitor = site.visitor("umbrella")
        self.keys = {self.bob.session_key, self.visitor.session_key}

    def assert_untouched(self):
        assert self.keys <= self.site.session_keys()
        assert self.bob.whoami() == "bob"
        assert self.visitor.remembers() == "umbrella"


def assert_ended(site, browsers, keys):
    """That these sessions are gone from the table, and only then that Django agrees: it deletes a session with
    an old password hash by itself, once it is asked."""
    assert not set(keys) & site.session_keys(), "sessions are left in the table"
    assert [browser.whoami() for browser in browsers] == [None] * len(browsers)


@every_kind_of_site
def test_the_password_change_view_ends_every_session_but_that_of_the_browser_that_used_it(site):
    desk, phone, laptop = (site.logged_in("alice") for _ in range(3))
    keys = [browser.session_key for browser in (desk, phone, laptop)]
    bystanders = Bystanders(site)
    site.wait_until_linked(keys, "alice")

    assert desk.change_password(password_of("alice"), "second") == 302
    site.wait_until_settled(site.user_id("alice"))

    assert desk.session_key not in keys
    assert site.session_keys() == {desk.session_key} | bystanders.keys
    # The session that stays has a new key.
    site.wait_until_linked([desk.session_key], "alice")
    assert_ended(site, [phone, laptop], keys)
    assert desk.whoami() == "alice"
    bystanders.assert_untouched()


@both_transaction_modes
def test_the_next_change_ends_the_session_that_the_last_one_kept(site):
    desk = site.logged_in("alice")
    assert desk.change_password(password_of("alice"), "second") == 302
    kept = desk.session_key
    phone = site.logged_in("alice", "second")

    assert phone.change_password("second", "third") == 302
    site.wait_until_settled(site.user_id("alice"))

    assert_ended(site, [desk], [kept])
    assert phone.whoami() == "alice"


@every_kind_of_site
def test_an_administrator_who_sets_a_users_password_ends_that_users_sessions_alone(site):
    phone, laptop = site.logged_in("alice"), site.logged_in("alice")
    keys = [phone.session_key, laptop.session_key]
    bystanders = Bystanders(site)
    administrator = site.browser()
    assert administrator.log_in("admin", password_of("admin"), path="/admin/login/")
    user_page = f"/admin/{site.kind.user_model.lower().replace('.', '/')}/{site.user_id('alice')}"

    status, page = administrator.submit(
        f"{user_page}/password/", password1="second", password2="second", usable_password="true"
    )
    assert status == 302, page
    site.wait_until_settled(site.user_id("alice"))

    assert_ended(site, [phone, laptop], keys)
    assert administrator.whoami() == "admin"
    site.wait_until_linked([administrator.session_key], "admin")
    bystanders.assert_untouched()


def change_by_manage_py(site):
    site.manage_on_a_terminal(
        "changepassword", "alice", answers=[("Password: ", "second"), ("Password (again): ", "second")]
    )


def change_by_queryset_update(site):
    site.shell("User.objects.filter(username__in=['alice', 'carol']).update(password=make_password('second'))")


def change_by_psql(site):
    # What Django makes of an unusable password; any other hash would do.
    site.psql(f"update {site.kind.user_table} set password = '!' where username = 'alice'")


@pytest.mark.parametrize(
    "change", [change_by_manage_py, change_by_queryset_update, change_by_psql], ids=lambda change: change.__name__[10:]
)
@pytest.mark.parametrize(
    "site", [AUTOCOMMIT, UUID_AUTOCOMMIT, ALONE_AUTOCOMMIT, ALONE_ATOMIC_REQUESTS, *OTHER_KEYS_ALONE], indirect=True
)
def test_a_change_that_no_request_made_ends_every_session(site, change):
    phone, laptop = site.logged_in("alice"), site.logged_in("alice")
    keys = [phone.session_key, laptop.session_key]
    bystanders = Bystanders(site)

    change(site)
    site.wait_until_settled(site.user_id("alice"))

    assert_ended(site, [phone, laptop], keys)
    bystanders.assert_untouched()


def test_a_bulk_update_ends_the_sessions_of_all_its_users(site):
    browsers = [site.logged_in(name) for name in ("alice", "alice", "carol")]
    keys = [browser.session_key for browser in browsers]
    bystanders = Bystanders(site)

    change_by_queryset_update(site)
    site.wait_until_settled(site.user_id("alice"))
    site.wait_until_settled(site.user_id("carol"))

    assert_ended(site, browsers, keys)
    bystanders.assert_untouched()


@both_transaction_modes
def test_a_login_after_the_change_stays_although_the_daemon_comes_later(site):
    old = site.logged_in("alice")
    old_key = old.session_key
    desk = site.logged_in("alice")

    # Frozen, it holds what says that it serves, so nothing is ended until it has both sessions before it.
    site.daemon.freeze()
    try:
        assert desk.change_password(password_of("alice"), "second") == 302
        new = site.logged_in("alice", "second")
    finally:
        site.daemon.thaw()
    site.wait_until_settled(site.user_id("alice"))

    assert site.session_keys() == {desk.session_key, new.session_key}
    assert_ended(site, [old], [old_key])
    assert desk.whoami() == new.whoami() == "alice"


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(Kind(served=False), id="autocommit"),
        pytest.param(Kind(served=False, atomic_requests=True), id="atomic_requests"),
    ],
    indirect=True,
)
def test_without_a_daemon_the_change_itself_ends_the_sessions_and_the_next_daemon_settles_it(site):
    desk, phone, laptop = (site.logged_in("alice") for _ in range(3))
    keys = [phone.session_key, laptop.session_key]
    bystanders = Bystanders(site)

    assert desk.change_password(password_of("alice"), "second") == 302

    assert_ended(site, [phone, laptop], keys)
    assert desk.whoami() == "alice"
    new = site.logged_in("alice", "second")
    site.start_daemon()
    site.wait_until_settled(site.user_id("alice"))
    assert desk.whoami() == new.whoami() == "alice"
    bystanders.assert_untouched()


def roll_back_in_psql(site, browser):
    site.psql(f"begin; update {site.kind.user_table} set password = '!' where username = 'alice'; rollback;")


def roll_back_a_deletion(site, browser):
    site.psql(f"begin; delete from {site.kind.user_table} where username = 'alice'; rollback;")


def roll_back_a_savepoint(site, browser):
    site.shell(
        "with transaction.atomic():\n"
        "    try:\n"
        "        with transaction.atomic():\n"
        "            User.objects.filter(username='alice').update(password='!')\n"
        "            raise KeyError\n"
        "    except KeyError:\n"
        "        User.objects.filter(username='alice').update(first_name='Alice')\n"
    )
    assert site.value(f"select first_name from {site.kind.user_table} where username = 'alice'") == "Alice"


def roll_back_a_request(site, browser):
    assert browser.change_password(password_of("alice"), "second", path="/password-then-error/") == 500


@pytest.mark.parametrize(
    "roll_back",
    [roll_back_in_psql, roll_back_a_deletion, roll_back_a_savepoint, roll_back_a_request],
    ids=lambda roll_back: roll_back.__name__[10:],
)
@pytest.mark.parametrize("site", [ATOMIC_REQUESTS], indirect=True)
def test_a_change_that_rolls_back_ends_nothing(site, roll_back):
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    keys = {desk.session_key, phone.session_key}

    roll_back(site, desk)
    # Once the daemon has dealt with a change that came later, it has had the chance to do wrong.
    site.psql(f"update {site.kind.user_table} set password = '!' where username = 'carol'")
    site.wait_until_settled(site.user_id("carol"))

    assert site.revocations(site.user_id("alice")) == []
    assert site.session_keys() == keys
    assert desk.whoami() == phone.whoami() == "alice"


@both_transaction_modes
def test_a_save_that_leaves_the_password_alone_ends_nothing(site):
    phone = site.logged_in("alice")

    # Django's save() writes every column, the password's too.
    site.shell("user = User.objects.get(username='alice'); user.first_name = 'Alice'; user.save()")
    site.psql(f"update {site.kind.user_table} set password = '!' where username = 'carol'")
    site.wait_until_settled(site.user_id("carol"))

    assert site.revocations(site.user_id("alice")) == []
    assert phone.session_key in site.session_keys()
    assert phone.whoami() == "alice"


@both_transaction_modes
def test_a_hash_upgraded_at_login_ends_the_other_sessions_as_django_does_and_not_the_login(site):
    old = site.logged_in("alice")
    old_key = old.session_key
    before = site.value(f"select password from {site.kind.user_table} where username = 'alice'")

    newer_release = site.start_web(SLOW_HASHER="1")
    new = site.logged_in("alice", web=newer_release)
    after = site.value(f"select password from {site.kind.user_table} where username = 'alice'")
    assert (before.split("$")[0], after.split("$")[0]) == ("md5", "pbkdf2_sha256")
    site.wait_until_settled(site.user_id("alice"))

    assert_ended(site, [old], [old_key])
    assert new.whoami() == "alice"


@pytest.mark.parametrize("site", [ATOMIC_REQUESTS, UUID_ATOMIC_REQUESTS], indirect=True)
def test_a_login_that_had_verified_the_old_password_when_it_changed_is_ended(site):
    """The request began before the change and inserts its session after it, in the transaction that read the
    password. It also holds up the settling: until it ends, nobody can know what it will commit."""
    late = site.browser()
    alice = site.user_id("alice")

    with concurrent.futures.ThreadPoolExecutor(1) as thread, site.closed_gate() as gate:
        login = thread.submit(late.log_in, "alice", password_of("alice"))
        gate.wait_for_a_login()
        change_by_psql(site)
        eventually(lambda: site.revocations(alice) != ["requested"], "the daemon has not seen the change")
        assert site.revocations(alice) == ["revoked"], "settled although the login's transaction still runs"
        gate.open()
        login.result()
    site.wait_until_settled(alice)

    # The session was ended either before Django saved it a last time, which makes the login fail, or after that.
    ended = site.value("select sum(sessions_ended) from session_reaper.revocation where user_id = %s", alice)
    assert ended == 1, "the login's session never was in the table: this tested nothing"
    assert site.session_keys() == set()
    assert late.whoami() is None


@pytest.mark.parametrize("site", [Kind(atomic_requests=True, slow_hasher=True)], indirect=True)
def test_logins_that_race_with_a_change_leave_no_session_that_django_would_refuse(site):
    """With a transaction a request, in which Django reads the password and inserts the session, the database can
    tell every older login from every newer one. No schema can tell one that began while the change was being committed,
    which takes long where the machine is busy."""
    crowd = [f"member-{number}" for number in range(12)]
    site.shell(f"for name in {crowd}: User.objects.create_user(name, password='first')")
    taken = 0
    stay = {}
    changed = {}

    def log_in_three_times(name):
        return sum(site.browser().log_in(name, "first") for _ in range(3))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for name in crowd:
            desk = site.logged_in(name, "first")
            logins = [threads.submit(log_in_three_times, name) for _ in range(4)]
            assert desk.change_password("first", "second") == 302
            changed[site.user_id(name)] = datetime.datetime.now(datetime.UTC)
            stay |= {desk: name, site.logged_in(name, "second"): name}
            taken += sum(login.result() for login in logins)
    for name in crowd:
        site.wait_until_settled(site.user_id(name))

    assert taken, "every login was refused: nothing was raced for"
    verdicts = json.loads(
        site.shell(
            "import json\n"
            "def is_current(data):\n"
            "    return data['_auth_user_hash'] == User.objects.get(pk=data['_auth_user_id']).get_session_auth_hash()\n"
            "print(json.dumps({open.pk: is_current(open.get_decoded()) for open in Session.objects.all()}))"
        )
    )
    refused = [key for key, is_current in verdicts.items() if not is_current]
    links = {
        key: (user_id, begun_at, stamped_at)
        for key, user_id, begun_at, stamped_at in site.rows(
            "select l.session_key, l.user_id, l.begun_at, c.at from session_reaper.user_session l"
            " join session_reaper.revocation r on r.user_id = l.user_id"
            " join session_reaper.change c on c.id = r.change_id"
        )
    }

    def began_during_the_commit(user_id, begun_at, stamped_at):
        return stamped_at < begun_at < changed[user_id]

    older = [links.get(key) for key in refused if key not in links or not began_during_the_commit(*links[key])]
    assert not older, f"of {len(verdicts)} sessions, these were opened with the old password: {older}"
    assert {browser.session_key for browser in stay} <= set(verdicts)
    assert [browser.whoami() for browser in stay] == list(stay.values())
