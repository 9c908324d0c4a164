"""What needs no database."""

import pytest
from settings_for_units import configure

configure()

from session_reaper import checks, handles, migrating, signals  # noqa: E402, F401
from session_reaper.devices.addresses import truncated  # noqa: E402
from session_reaper.devices.families import browser_of, system_of  # noqa: E402
from session_reaper.listening import Told  # noqa: E402

AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": ("Firefox", "Linux"),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
    " Edg/140.0.0.0": ("Edge", "Windows"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
    " Safari/605.1.15": ("Safari", "macOS"),
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36": (
        "Chrome",
        "Android",
    ),
    "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0"
    " Chrome/130.0.0.0 Mobile Safari/537.36": ("Samsung Internet", "Android"),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " CriOS/140.0.0.0 Mobile/15E148 Safari/604.1": ("Chrome", "iOS"),
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36": (
        "Chrome",
        "ChromeOS",
    ),
    "curl/8.5.0": ("", ""),
    "": ("", ""),
    "<script>alert(1)</script>" * 1000: ("", ""),
}


@pytest.mark.parametrize("agent", AGENTS)
def test_families_are_told_and_nothing_else(agent):
    assert (browser_of(agent), system_of(agent)) == AGENTS[agent]


@pytest.mark.parametrize(
    "address, kept",
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("", None),
        ("unix:", None),
        ("203.0.113.77, 10.0.0.1", None),
    ],
)
def test_an_address_is_cut(address, kept):
    assert truncated(address) == kept


def test_a_handle_is_no_key():
    key = "a" * 32
    assert handles.handle_of(key) == "3ba3f5f43b92"
    assert len(handles.digest_of(key)) == 64 and key not in handles.digest_of(key)
    assert handles.handle_of(None) is None and handles.digest_of("") is None


@pytest.mark.parametrize("payload", ["", "nonsense", "[]", "1", "{}", '{"user": 1}', '{"user": null, "scope": "all"}'])
def test_what_is_none_of_ours_is_not_told(payload):
    assert Told.parse(payload) is None


def test_a_revocation_is_told():
    payload = '{"revocation": 17, "user": "42", "scope": "user", "reason": "password", "state": "revoked"}'
    assert Told.parse(payload) == Told("42", "user", "password", "revoked", 17)


def migration(app_label, *operations):
    from django.db.migrations import Migration

    made = Migration("0002_more", app_label)
    made.operations = list(operations)
    return made


def test_a_migration_touches_our_tables_or_does_not():
    from django.db import migrations, models

    alter = migrations.AlterField("user", "password", models.CharField(max_length=256))
    touching = [
        migration("auth", alter),
        migration("auth", migrations.AlterField("User", "id", models.BigAutoField(primary_key=True))),
        migration("sessions", migrations.DeleteModel("Session")),
        migration("auth", migrations.SeparateDatabaseAndState(database_operations=[alter])),
        migration("shop", migrations.RunSQL("alter table auth_user alter column password type text")),
    ]
    assert all(migrating.touches_our_tables(each) for each in touching)
    others = [
        migration("shop", migrations.AlterField("user", "password", models.CharField(max_length=256))),
        migration("auth", migrations.AlterField("group", "name", models.CharField(max_length=256))),
        migration("auth", migrations.SeparateDatabaseAndState(state_operations=[alter])),
        migration("shop", migrations.RunSQL("alter table shop_order add column paid boolean")),
        migration("auth", migrations.RunPython(migrations.RunPython.noop)),
    ]
    assert not any(migrating.touches_our_tables(each) for each in others)


def test_a_cache_in_the_process_is_named(settings_of):
    with settings_of(SESSION_ENGINE="django.contrib.sessions.backends.cached_db"):
        assert [found.id for found in checks.check_cache(None)] == ["session_reaper.W002"]
    with settings_of(
        SESSION_ENGINE="django.contrib.sessions.backends.cached_db",
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}},
    ):
        assert checks.check_cache(None) == []


@pytest.fixture
def settings_of():
    from django.test import override_settings

    return override_settings
