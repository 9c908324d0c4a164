"""A deleted or deactivated user's sessions leave the table. Django leaves their rows where they are."""

import pytest
from django_site import Kind, password_of


def delete_in_the_admin(site):
    administrator = site.browser()
    assert administrator.log_in("admin", password_of("admin"), path="/admin/login/")
    user_page = f"/admin/{site.kind.user_model.lower().replace('.', '/')}/{site.user_id('alice')}"
    status, page = administrator.submit(f"{user_page}/delete/", post="yes")
    assert status == 302, page


def delete_by_the_orm(site):
    site.shell("User.objects.get(username='alice').delete()")


def delete_by_psql(site):
    site.psql(f"delete from {site.kind.user_table} where username = 'alice'")


@pytest.mark.parametrize(
    "delete", [delete_in_the_admin, delete_by_the_orm, delete_by_psql], ids=lambda delete: delete.__name__
)
@pytest.mark.parametrize(
    "site",
    [
        pytest.param(Kind(), id="int"),
        pytest.param(Kind(user_model="people.Person"), id="uuid"),
        pytest.param(Kind(linking=False), id="no_app_int"),
        pytest.param(Kind(linking=False, user_model="customers.Customer"), id="no_app_bigint"),
        pytest.param(Kind(linking=False, user_model="people.Person"), id="no_app_uuid"),
        pytest.param(Kind(linking=False, user_model="members.Member"), id="no_app_text"),
        pytest.param(Kind(linking=False, atomic_requests=True), id="no_app_atomic_requests"),
    ],
    indirect=True,
)
def test_deleting_a_user_ends_that_users_sessions_alone(site, delete):
    phone, laptop = site.logged_in("alice"), site.logged_in("alice")
    keys = {phone.session_key, laptop.session_key}
    bob, visitor = site.logged_in("bob"), site.visitor("umbrella")
    alice = site.user_id("alice")

    delete(site)
    site.wait_until_settled(alice)

    assert not keys & site.session_keys()
    assert phone.whoami() is laptop.whoami() is None
    assert {bob.session_key, visitor.session_key} <= site.session_keys()
    assert bob.whoami() == "bob"
    assert visitor.remembers() == "umbrella"


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(Kind(), id="linking"),
        pytest.param(Kind(linking=False), id="no_app"),
        pytest.param(Kind(linking=False, atomic_requests=True), id="no_app_atomic_requests"),
    ],
    indirect=True,
)
def test_deactivating_a_user_ends_that_users_sessions_alone_and_activation_brings_none_back(site):
    phone, laptop = site.logged_in("alice"), site.logged_in("alice")
    keys = {phone.session_key, laptop.session_key}
    bob = site.logged_in("bob")

    site.shell("User.objects.filter(username='alice').update(is_active=False)")
    site.wait_until_settled(site.user_id("alice"))
    assert not keys & site.session_keys()

    site.shell("User.objects.filter(username='alice').update(is_active=True)")
    assert phone.whoami() is laptop.whoami() is None
    again = site.logged_in("alice")
    # Once the daemon has dealt with a change that came later, it has had the chance to do wrong.
    site.psql("update auth_user set password = '!' where username = 'carol'")
    site.wait_until_settled(site.user_id("carol"))
    assert again.whoami() == "alice"
    assert bob.whoami() == "bob"
