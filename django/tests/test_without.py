"""Where session-reaper is not installed, every feature says so and the site works on."""

import os
import subprocess
import sys

import pytest
from django_site import PACKAGE, PROJECT, password_of
from kinds import on, package
from process import clean_environment


@on(package("session_reaper.devices", installed=False, served=False))
def test_without_the_schema_the_site_works_on_and_every_feature_says_so(site):
    desk = site.logged_in("alice")
    admin = site.browser()
    assert admin.log_in("admin", password_of("admin"), path="/admin/login/?next=/admin/")

    assert desk.whoami() == "alice"
    status, page = desk.request("/account/sessions/")
    assert status == 200 and "cannot be listed" in page
    assert desk.request("/account/sessions/end-others/", {})[0] == 403
    alice = site.user_id("alice")
    status, page = admin.request(f"/admin/auth/user/{alice}/change/")
    assert status == 200 and "not installed in this database" in page
    assert admin.submit(f"/admin/auth/user/{alice}/sessions/", reason="x")[0] == 302
    status, page = admin.request("/admin/session_reaper/revocation/")
    assert status == 200 and "not installed in this database" in page
    assert desk.change_password(password_of("alice"), "second") == 302
    assert desk.whoami() == "alice"
    said = site.shell(
        "from session_reaper import *\n"
        "try: delete_user_sessions(User.objects.get(username='alice'))\n"
        "except Unavailable as error: print(error)"
    )
    assert "session-reaper is not installed" in said
    assert "session_reaper.W003" in site.manage("check", "--database", "default", fails=None)
    site.manage("dumpdata")
    site.manage("flush", "--no-input")
    assert site.server.process.said()[site._log_begins :].count("ERROR") == 0


@on(package(own_role=True, role_is_known=False, served=False))
def test_a_role_that_may_not_use_it_is_told_so_and_the_site_works_on(site):
    desk = site.logged_in("alice")

    assert desk.whoami() == "alice"
    assert "may not use session-reaper" in site.manage("check", "--database", "default", fails=None)
    assert site.server.process.said()[site._log_begins :].count("ERROR") == 0


@on(package(own_role=True))
def test_a_role_that_owns_nothing_does_everything(site):
    desk, phone = site.logged_in("alice"), site.logged_in("alice")
    assert set(site.linked()) == {desk.session_key, phone.session_key}

    status, page = desk.request("/account/sessions/")
    assert status == 200 and "This browser" in page
    assert desk.submit("/account/sessions/", fields_to="/account/sessions/end-others/")[0] == 302
    site.wait_until_settled(site.user_id("alice"))

    assert (desk.whoami(), phone.whoami()) == ("alice", None)


def test_on_sqlite_the_site_works_on(tmp_path):
    environment = clean_environment(
        DJANGO_SETTINGS_MODULE="example.settings",
        APPS="session_reaper,session_reaper.devices",
        PGDATABASE=str(tmp_path / "db.sqlite3"),
        ENGINE="django.db.backends.sqlite3",
        PYTHONPATH=f"{PACKAGE}{os.pathsep}{PROJECT}",
    )
    code = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth import get_user_model
from django.test import Client
from session_reaper import Unavailable, delete_user_sessions
get_user_model().objects.create_user("alice", password="first")
client = Client(headers={"host": "127.0.0.1"})
assert client.login(username="alice", password="first")
assert client.get("/whoami/").json()["user"] == "alice"
assert "cannot be listed" in client.get("/account/sessions/").content.decode()
try:
    delete_user_sessions(get_user_model().objects.get())
except Unavailable as error:
    print(error)
call_command("dumpdata", "--output", "/dev/null")
call_command("flush", interactive=False, verbosity=0)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    assert "works on PostgreSQL only" in done.stdout


@pytest.mark.parametrize("engine", ["signed_cookies", "cache", "file"])
def test_sessions_without_rows_are_left_alone_and_named_by_a_check(engine, tmp_path):
    environment = clean_environment(
        DJANGO_SETTINGS_MODULE="example.settings",
        APPS="session_reaper",
        PGDATABASE=str(tmp_path / "db.sqlite3"),
        ENGINE="django.db.backends.sqlite3",
        ENGINE_OF_SESSIONS=f"django.contrib.sessions.backends.{engine}",
        PYTHONPATH=f"{PACKAGE}{os.pathsep}{PROJECT}",
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], env=environment, capture_output=True, text=True, cwd=PROJECT
    )
    assert done.returncode == 0, done.stderr
    assert "session_reaper.W001" in done.stderr
