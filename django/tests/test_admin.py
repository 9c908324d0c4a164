"""The admin: who may see and end sessions, and what it shows."""

import pytest
from django_site import Kind, password_of
from kinds import WITH_DEVICES, on, package

PAGE = "/admin/auth/user/{}/"
STAFF = """
from django.contrib.auth.models import Permission
user = User.objects.create_user("staff", password="first", is_staff=True)
user.user_permissions.set(Permission.objects.filter(codename__in={codenames}))
"""


def log_in(site, name="admin", password=None):
    browser = site.browser()
    assert browser.log_in(name, password or password_of(name), path="/admin/login/?next=/admin/")
    return browser


def staff(site, *codenames):
    site.shell(STAFF.format(codenames=list(codenames)))
    return log_in(site, "staff", "first")


@on(package())
def test_without_the_permission_nobody_sees_or_ends_anything(site):
    key = site.logged_in("alice").session_key
    alice = site.user_id("alice")
    staff_member = staff(site, "view_user", "change_user")

    status, page = staff_member.request(PAGE.format(alice) + "change/")
    assert status == 200 and "Open sessions" not in page and "Log out everywhere" not in page
    assert staff_member.request(PAGE.format(alice) + "sessions/")[0] == 403
    page = staff_member.request("/admin/auth/user/")[1]
    assert "log_out_everywhere" not in page
    fields = {"action": "log_out_everywhere", "_selected_action": str(alice), "confirmed": "yes"}
    staff_member.submit("/admin/auth/user/", **fields)
    assert staff_member.request("/admin/session_reaper/revocation/")[0] == 403
    assert key in site.session_keys()
    assert site.revocations(alice) == []


@on(package())
def test_with_the_permission_one_session_or_all_of_them_end_and_it_is_on_record(site):
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    alice = site.user_id("alice")
    staff_member = staff(site, "view_user", "change_user", "end_sessions", "view_revocation")
    handles = dict(
        site.rows(
            "select session_key, session_reaper.live_session.digest from session_reaper.user_session"
            " join session_reaper.live_session using (user_id) where session_key = %s"
            " and digest = left(encode(sha256(session_key::bytea), 'hex'), 12)",
            desk.session_key,
        )
    )

    page = staff_member.request(PAGE.format(alice) + "sessions/")[1]
    assert handles[desk.session_key] in page
    assert desk.session_key not in page and phone.session_key not in page
    staff_member.submit(PAGE.format(alice) + "sessions/", handle=handles[desk.session_key])
    site.daemon.wait_until(lambda: desk.session_key not in site.session_keys(), "done")
    assert (desk.whoami(), phone.whoami()) == (None, "alice")

    fields = {"action": "log_out_everywhere", "_selected_action": str(alice)}
    status, page = staff_member.submit("/admin/auth/user/", **fields)
    assert status == 200 and "Reason, for the record" in page and phone.whoami() == "alice"
    assert staff_member.submit("/admin/auth/user/", **fields, confirmed="yes", reason="breach")[0] == 302
    site.wait_until_settled(alice)
    assert phone.whoami() is None

    status, page = staff_member.request("/admin/session_reaper/revocation/?state__exact=settled&scope__exact=user")
    assert status == 200 and "breach" in page and ">alice<" in page
    number = site.value("select max(id) from session_reaper.revocation where user_id = %s", alice)
    assert "breach" in staff_member.request(f"/admin/session_reaper/revocation/{number}/change/")[1]
    assert "staff" in site.value(
        "select string_agg(u.username, ' ') from django_admin_log l join auth_user u on u.id = l.user_id"
    )
    assert staff_member.whoami() == "staff"


@on(package())
def test_who_logs_himself_out_everywhere_stays_in_the_browser_that_asks(site):
    desk, phone = log_in(site), log_in(site)
    admin = site.user_id("admin")

    assert desk.submit(PAGE.format(admin) + "sessions/", reason="")[0] == 302
    site.wait_until_settled(admin)

    assert (desk.whoami(), phone.whoami()) == ("admin", None)


@on(package())
def test_an_admin_that_names_no_fields_shows_them_to_who_may_see_them_and_once(site):
    said = site.shell(
        "from types import SimpleNamespace as Thing\n"
        "from django.contrib import admin; from django.test import RequestFactory\n"
        "own = admin.AdminSite('own'); own.register(User, admin.ModelAdmin); own.urls\n"
        "user, request = User.objects.get(username='alice'), RequestFactory().get('/')\n"
        "for may in (False, True):\n"
        "    request.user = Thing(has_perm=lambda name, obj=None: may or name == 'auth.change_user', is_active=True)\n"
        "    print(str(own._registry[User].get_fieldsets(request, user)).count('session_reaper_open_sessions'))"
    )
    assert said.split() == ["0", "1"]


@on(package(user_model="customers.Customer"))
def test_the_question_for_many_users_names_them_by_their_keys_or_as_all(site):
    """A key is no number for people, with separators."""
    alice = site.user_id("alice")
    said = site.shell(
        "from django.test import Client, override_settings\n"
        "client = Client(headers={'host': '127.0.0.1'}); client.force_login(User.objects.get(username='admin'))\n"
        "fields = {'action': 'log_out_everywhere', '_selected_action': %s, 'select_across': '1'}\n"
        "with override_settings(USE_THOUSAND_SEPARATOR=True):\n"
        "    print(client.post('/admin/customers/customer/', fields).content.decode())" % alice
    )
    assert f'name="_selected_action" value="{alice}"' in said
    assert 'name="select_across" value="1"' in said


@on(package())
def test_the_record_outlives_the_user(site):
    alice = site.user_id("alice")
    site.logged_in("alice")
    site.shell("User.objects.get(username='alice').delete()")
    admin = log_in(site)

    status, page = admin.request("/admin/session_reaper/revocation/")

    assert status == 200 and "deleted" in page and str(alice) in page


@pytest.mark.parametrize(
    "site", [Kind(apps=("unfold", *WITH_DEVICES)), package(user_model="people.Person")], indirect=True
)
def test_it_works_with_unfold_and_with_a_user_model_of_the_sites_own(site):
    site.logged_in("alice")
    admin = log_in(site)
    model = site.kind.user_model.lower().replace(".", "/")
    alice = site.user_id("alice")

    status, page = admin.request(f"/admin/{model}/{alice}/change/")
    assert status == 200 and "Open sessions" in page and f"/admin/{model}/{alice}/sessions/" in page
    assert admin.request(f"/admin/{model}/add/")[0] == 200
    assert admin.request(f"/admin/{model}/")[0] == 200
    assert admin.request("/admin/session_reaper/revocation/")[0] == 200
    assert admin.submit(f"/admin/{model}/{alice}/sessions/", reason="lost")[0] == 302
    site.wait_until_settled(alice)
    assert site.value("select reason from session_reaper.revocation") == "lost"
