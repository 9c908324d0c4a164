"""`manage.py flush` truncates, and PostgreSQL truncates no table that another one references."""

import re


def test_flush_is_refused_beside_the_schema_and_loses_nothing(site):
    browser = site.logged_in("alice")

    said = site.manage("flush", "--no-input", fails=True)
    cause = site.manage("flush", "--no-input", "--traceback", fails=True)

    assert said.startswith(f"CommandError: Database {site.database} couldn't be flushed."), said
    assert "cannot truncate a table referenced in a foreign key constraint" in cause
    assert 'Table "user_session" references "' in cause
    assert browser.whoami() == "alice"


def test_flushing_with_cascade_and_then_migrate_does_what_flush_does(site):
    browser = site.logged_in("alice")
    # As docs/django.md has it: manage.py sqlflush | sed '/^TRUNCATE/s/;$/ CASCADE;/' | psql
    statements, replaced = re.subn(r"(?m)^(TRUNCATE.*);$", r"\1 CASCADE;", site.manage("sqlflush"))
    assert replaced == 1, statements

    site.psql(statements)
    site.manage("migrate")

    assert site.session_keys() == set()
    assert site.linked() == {}
    assert browser.whoami() is None
    # Django's own rows are back, and the site goes on, protected.
    site.shell("User.objects.create_user('dora', password='first')")
    dora = site.logged_in("dora", "first")
    key = dora.session_key
    site.psql("update auth_user set password = '!' where username = 'dora'")
    site.wait_until_settled(site.user_id("dora"))
    assert key not in site.session_keys()


def test_flush_works_in_a_pause(site):
    browser = site.logged_in("alice")

    site.reaper("pause")
    site.manage("flush", "--no-input")
    site.reaper("resume")

    assert site.session_keys() == set()
    assert site.linked() == {}
    assert browser.whoami() is None
    site.shell("User.objects.create_user('dora', password='first')")
    key = site.logged_in("dora", "first").session_key
    site.psql("update auth_user set password = '!' where username = 'dora'")
    site.wait_until_settled(site.user_id("dora"))
    assert key not in site.session_keys()


def test_flush_works_again_once_session_reaper_is_uninstalled(site):
    site.logged_in("alice")
    site.stop_daemon()

    site.reaper("uninstall", "--yes")
    site.manage("flush", "--no-input")

    assert site.session_keys() == set()
    assert site.rows("select from pg_namespace where nspname = 'session_reaper'") == []
