"""`manage.py session_reaper`, and the commands of Django's that would fail without it."""

import json
import os
import pathlib
import re
import subprocess
import sys

from django_site import REAPER
from kinds import on, package
from process import clean_environment

from session_reaper.offered import OFFERS

BIN = {"more": (("SESSION_REAPER_BIN", str(REAPER)),)}
FRESH = package(installed=False, served=False, **BIN)


@on(FRESH, package(installed=False, served=False, user_model="people.Person", **BIN))
def test_from_nothing_to_a_revocation_and_back(site):
    assert "session_reaper" in site.manage("session_reaper", "install")
    site.linked()
    desk, phone = site.logged_in("alice"), site.logged_in("bob")
    assert len(site.linked()) == 2

    listed = json.loads(site.manage("session_reaper", "sessions", "alice", "--json"))
    assert len(listed) == 1 and desk.session_key not in str(listed)
    site.manage("session_reaper", "revoke", "alice", "--reason", "stolen")
    assert site.rows("select reason from session_reaper.revocation") == [("stolen",)]
    assert (desk.whoami(), phone.whoami()) == (None, "bob")

    lately = site.manage("session_reaper", "history", "alice", "--since=1d", "--json")
    assert json.loads(lately)[0]["reason"] == "stolen"
    assert json.loads(site.manage("session_reaper", "history", "--most=1", "--json"))[0]["reason"] == "stolen"
    assert "stolen" in site.manage("session_reaper", "explain", "alice")
    assert json.loads(site.manage("session_reaper", "policies", "--dry-run", "--json")) == []
    assert json.loads(site.manage("session_reaper", "revoke", "--all", "--rehearse", "--json"))["sessions"] == 1
    assert json.loads(site.manage("session_reaper", "purge", "--dry-run", "--json"))
    assert "[site]" in site.manage("session_reaper", "config")
    assert phone.whoami() == "bob"

    assert "no user 'nobody'" in site.manage("session_reaper", "revoke", "nobody", fails=True)
    assert "name a user, or say --all" in site.manage("session_reaper", "revoke", fails=True)
    assert "served     no" in site.manage("session_reaper", "status", fails=None)
    assert json.loads(site.manage("session_reaper", "doctor", "--json", fails=None).splitlines()[0])
    site.manage("session_reaper", "uninstall", "--yes")
    assert site.rows("select from pg_namespace where nspname = 'session_reaper'") == []
    assert site.logged_in("alice").whoami() == "alice"


def what_the_program_offers(*command):
    said = subprocess.run([REAPER, *command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", said, re.M)) - {"--help", "--config", "--site", "--by"}


def test_all_that_the_program_does_is_offered_but_the_demo():
    said = subprocess.run([REAPER, "--help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^  ([a-z]+)  ", said, re.M)) - {"demo", "help"}
    assert {offer.verb or name for name, offer in OFFERS.items()} == commands
    for name, offer in OFFERS.items():
        assert {option.flag for option in offer.options} == what_the_program_offers(offer.verb or name), name


@on(FRESH)
def test_the_daemon_takes_the_place_of_the_command_and_stops_on_a_signal(site):
    site.manage("session_reaper", "install")
    daemon = site.start_django("daemon-by-command", "manage.py", "session_reaper", "run")
    try:
        daemon.wait_until(lambda: site.value("select session_reaper.is_served()"), "serving")
        command = pathlib.Path(f"/proc/{daemon.child.pid}/cmdline").read_bytes().split(b"\0")
        assert command[:2] == [os.fsencode(REAPER), b"run"]
        assert "no issues" in site.manage("check", "--database", "default", fails=None)
    finally:
        assert daemon.stop() == 0


@on(package(installed=False, served=False))
def test_without_the_program_it_says_how_to_get_it(site):
    said = site.manage("session_reaper", "status", fails=True)
    assert "django-session-reaper[daemon]" in said and "SESSION_REAPER_BIN" in said


def environment_of(**entry):
    """What the program is told of this entry in DATABASES."""
    code = (
        "import json; from django.conf import settings\n"
        f"settings.configure(DATABASES={{'default': {entry!r}}}, INSTALLED_APPS=['django.contrib.auth',"
        " 'django.contrib.contenttypes', 'django.contrib.sessions', 'session_reaper'],"
        " SESSION_ENGINE='django.contrib.sessions.backends.cached_db',"
        " CACHES={'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache',"
        " 'LOCATION': ['redis://user:pw@cache:6379/1', 'redis://replica'], 'KEY_PREFIX': 'shop'}})\n"
        "import django; django.setup()\n"
        "from session_reaper import binary; print(json.dumps(binary.environment()))"
    )
    variables = clean_environment(PYTHONPATH=str(pathlib.Path(__file__).parents[1]), DATABASE_URL="postgresql:///other")
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_program_learns_of_the_site_from_its_settings():
    told = environment_of(
        ENGINE="django.db.backends.postgresql",
        NAME="mysite",
        USER="owner",
        PASSWORD="a secret",
        HOST="db",
        PORT=5433,
        OPTIONS={"sslmode": "verify-full", "pool": True},
    )

    assert "DATABASE_URL" not in told
    wanted = {
        "PGDATABASE": "mysite",
        "PGUSER": "owner",
        "PGPASSWORD": "a secret",
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGSSLMODE": "verify-full",
        "SESSION_REAPER_SITE_PRESET": "django",
        "SESSION_REAPER_SITE_USER_TABLE": "auth_user",
        "SESSION_REAPER_CACHE_KIND": "redis",
        "SESSION_REAPER_CACHE_SERVERS": "redis://user:pw@cache:6379/1",
        "SESSION_REAPER_CACHE_KEY_PREFIX": "shop",
        "SESSION_REAPER_CACHE_VERSION": "1",
    }
    assert wanted.items() <= told.items()


@on(package("session_reaper.devices"))
def test_flush_works_and_the_site_goes_on_protected(site):
    browser = site.logged_in("alice")

    site.manage("flush", "--no-input")

    assert site.session_keys() == set() and site.linked() == {}
    assert browser.whoami() is None
    site.shell("User.objects.create_user('dora', password='first')")
    dora = site.logged_in("dora", "first")
    site.psql("update auth_user set password = '!' where username = 'dora'")
    site.wait_until_settled(site.user_id("dora"))
    assert dora.whoami() is None


@on(package())
def test_no_key_gets_into_a_dump(site):
    key = site.logged_in("alice").session_key

    dump = site.manage("dumpdata", "--exclude", "sessions")

    assert '"model": "auth.user"' in dump and '"model": "session_reaper.' not in dump
    assert key not in dump


def write_migrations(directory, **operations):
    """A module of migrations of the auth app's tables, as a site has them after it has vendored that app."""
    folder = directory / "more_auth"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "models.py").touch()
    (folder / "migrations").mkdir()
    (folder / "migrations/__init__.py").touch()
    for name, text in operations.items():
        (folder / f"migrations/{name}.py").write_text(
            "from django.db import migrations, models\n"
            "class Migration(migrations.Migration):\n"
            "    dependencies = [('auth', '0012_alter_user_first_name_max_length')]\n"
            "    def mutate_state(self, project_state, preserve=True): return project_state\n"
            f"    operations = [{text}]\n"
        )
    return {"PYTHONPATH": os.pathsep.join([str(directory), str(pathlib.Path(__file__).parents[1])])}


LONGER = "migrations.RunSQL('alter table auth_user alter column password type varchar(256)')"
ELSEWHERE = "migrations.RunSQL('create table elsewhere (id integer)')"
FAILING = "migrations.RunSQL('alter table auth_user alter column no_such type varchar(256)')"


def migrate(site, directory, operations, fails=False):
    more = write_migrations(directory, **{"0001_initial": operations})
    kind = site.kind
    site.kind = package("more_auth", installed=kind.installed, more=(*BIN["more"], *more.items()))
    try:
        return site.manage("migrate", fails=fails)
    finally:
        site.kind = kind


@on(package(**BIN))
def test_a_migration_of_the_users_table_pauses_and_resumes_by_itself(site, tmp_path):
    desk = site.logged_in("alice")
    key = desk.session_key

    said = migrate(site, tmp_path, LONGER)

    assert "is paused" in said
    assert site.rows("select from session_reaper.pause") == []
    kept = "select atttypmod - 4 from pg_attribute where attrelid = 'auth_user'::regclass and attname = 'password'"
    assert site.value(kept) == 256
    site.psql("update auth_user set password = '!' where username = 'alice'")
    site.wait_until_settled(site.user_id("alice"))
    assert key not in site.session_keys()


@on(package(**BIN))
def test_a_migration_that_fails_resumes_too(site, tmp_path):
    migrate(site, tmp_path, FAILING, fails=True)

    assert site.rows("select from session_reaper.pause") == []
    assert site.value("select count(*) from session_reaper.live_session") == 0


@on(package(**BIN))
def test_a_migration_of_other_tables_pauses_nothing(site, tmp_path):
    said = migrate(site, tmp_path, ELSEWHERE)

    assert "paused" not in said
    assert site.value("select to_regclass('elsewhere') is not null")
