"""The site's own migrations change the tables that session-reaper watches."""

import re

import pytest
from django_site import Kind, password_of

# What `manage.py migrate` does with an operation, without a file for it.
MIGRATE = """
import contextlib
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
state = MigrationLoader(connection).project_state()
with connection.schema_editor() as editor:
    for app, operation in [{operations}]:
        after = state.clone()
        operation.state_forwards(app, after)
        operation.database_forwards(app, editor, state, after)
        state = after
"""

LONGER_PASSWORDS = "('auth', migrations.AlterField('user', 'password', models.CharField(max_length=256)))"
# The first is what `makemigrations` writes for the model in linking/models.py, as docs/django.md asks.
BIGINT_USERS = """
('links', migrations.CreateModel('UserSession', [
    ('session', models.OneToOneField('sessions.session', models.DO_NOTHING, primary_key=True, db_column='session_key')),
    ('user', models.ForeignKey('auth.user', models.DO_NOTHING, related_name='open_sessions')),
], options={'managed': False, 'db_table': 'session_reaper"."user_session'})),
"""
BIGINT_USERS += "('auth', migrations.AlterField('user', 'id', models.BigAutoField(primary_key=True)))"
SESSION_FIELDS = """[
    ('session_key', models.CharField(max_length=40, primary_key=True, serialize=False)),
    ('session_data', models.TextField()),
    ('expire_date', models.DateTimeField(db_index=True)),
]"""
NEW_SESSIONS = f"""
('sessions', migrations.DeleteModel('Session')),
('sessions', migrations.CreateModel('Session', {SESSION_FIELDS}, options={{'db_table': 'django_session'}})),
"""
SWAPPED_SESSIONS = f"""
('sessions', migrations.CreateModel('Fresh', {SESSION_FIELDS}, options={{'db_table': 'fresh_session'}})),
('sessions', migrations.RunSQL('insert into fresh_session select * from django_session')),
('sessions', migrations.AlterModelTable('Session', 'old_session')),
('sessions', migrations.AlterModelTable('Fresh', 'django_session')),
('sessions', migrations.DeleteModel('Session')),
"""


def migrate(site, operations):
    site.shell(MIGRATE.format(operations=operations))


def column_type(site, table, column):
    return site.value(
        "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attname = %s",
        table,
        column,
    )


def change_password(site, username):
    """By the ORM, which writes every column."""
    site.shell(f"u = User.objects.get(username={username!r}); u.set_password('second'); u.save()")


def assert_a_change_ends_what_is_older(site, username, password):
    older = site.logged_in(username, password)
    key = older.session_key
    assert site.linked().get(key) == username
    site.shell(f"u = User.objects.get(username={username!r}); u.set_password('last'); u.save()")
    newer = site.logged_in(username, "last")
    site.wait_until_settled(site.user_id(username))
    assert key not in site.session_keys()
    assert newer.session_key in site.session_keys()
    assert older.whoami() is None
    assert newer.whoami() == username


def test_without_a_pause_postgresql_refuses_to_alter_the_password_column(site):
    with pytest.raises(AssertionError, match="cannot alter type of a column used in a trigger definition"):
        migrate(site, LONGER_PASSWORDS)


def test_with_a_pause_the_password_column_is_altered_and_no_change_is_lost(site):
    alice, bob, carol = (site.logged_in(name) for name in ("alice", "bob", "carol"))
    keys = {browser.session_key for browser in (alice, bob, carol)}

    site.reaper("pause")
    migrate(site, LONGER_PASSWORDS)
    change_password(site, "alice")
    assert keys <= site.session_keys(), "a session ended during the pause"
    site.reaper("resume")

    site.wait_until_settled(site.user_id("alice"))
    assert column_type(site, "auth_user", "password") == "character varying(256)"
    assert alice.session_key not in site.session_keys()
    assert alice.whoami() is None
    assert (bob.whoami(), carol.whoami()) == ("bob", "carol")
    key = bob.session_key
    change_password(site, "bob")
    site.wait_until_settled(site.user_id("bob"))
    assert key not in site.session_keys()
    assert carol.whoami() == "carol"
    assert_a_change_ends_what_is_older(site, "carol", password_of("carol"))


def test_a_session_table_that_is_dropped_and_created_anew_is_watched_again(site):
    bob = site.logged_in("bob")

    site.reaper("pause")
    migrate(site, NEW_SESSIONS)
    said = site.reaper("resume")

    assert "Dropped 1 links whose session is gone." in said
    assert site.linked() == {}
    assert bob.whoami() is None
    assert_a_change_ends_what_is_older(site, "alice", password_of("alice"))


def test_sessions_that_are_carried_over_into_a_new_table_stay_linked(site):
    alice, bob = site.logged_in("alice"), site.logged_in("bob")
    keys = {alice.session_key, bob.session_key}

    site.reaper("pause")
    migrate(site, SWAPPED_SESSIONS)
    change_password(site, "alice")
    site.reaper("resume")

    site.wait_until_settled(site.user_id("alice"))
    assert keys & site.session_keys() == {bob.session_key}
    assert site.linked() == {bob.session_key: "bob"}
    assert bob.whoami() == "bob"
    assert_a_change_ends_what_is_older(site, "carol", password_of("carol"))


@pytest.mark.parametrize("site", [pytest.param(Kind(), id="served"), pytest.param(Kind(served=False), id="unserved")], indirect=True)
def test_user_keys_that_grow_to_bigint_take_the_links_along(site):
    alice, bob = site.logged_in("alice"), site.logged_in("bob")
    keys = {alice.session_key, bob.session_key}

    site.reaper("pause")
    migrate(site, BIGINT_USERS)
    # Django knows a model on our table, and alters that column, too.
    assert column_type(site, "session_reaper.user_session", "user_id") == "bigint"
    assert column_type(site, "session_reaper.revocation", "user_id") == "integer"
    change_password(site, "alice")
    # The first key beyond integer: its change fits no column of ours yet.
    site.psql(
        "insert into auth_user overriding system value select 3000000000, password, last_login, is_superuser, 'zoe',"
        " first_name, last_name, email, is_staff, is_active, date_joined from auth_user where username = 'carol';"
        "update auth_user set password = '!' where username = 'zoe'"
    )
    said = site.reaper("resume")
    if not site.kind.served:
        site.start_daemon()

    assert re.search(r"Changed our user_id from integer to bigint, like public\.auth_user\.", said), said
    for table in ("auth_user", "auth_user_groups", "session_reaper.user_session", "session_reaper.revocation"):
        column = "id" if table == "auth_user" else "user_id"
        assert column_type(site, table, column) == "bigint", table
    site.wait_until_settled(site.user_id("alice"))
    assert site.revocations(3_000_000_000) == ["settled"]
    assert keys & site.session_keys() == {bob.session_key}
    assert bob.whoami() == "bob"
    assert_a_change_ends_what_is_older(site, "bob", password_of("bob"))
