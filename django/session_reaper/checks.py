"""What `manage.py check` and the start of a site say of settings under which sessions cannot be ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import DatabaseError

from session_reaper import schema, stores

WITHOUT_ROWS = {
    "django.contrib.sessions.backends.signed_cookies": "Sessions stand in the browsers' cookies (signed_cookies)",
    "django.contrib.sessions.backends.cache": "Sessions stand in the cache alone",
    "django.contrib.sessions.backends.file": "Sessions stand in files",
}
IN_PROCESS = ("locmem.LocMemCache", "dummy.DummyCache")


def register() -> None:
    checks.register(check_engine, checks.Tags.security)
    checks.register(check_cache, checks.Tags.caches)
    # Asked for by `check --database`, and by `migrate`.
    checks.register(check_schema, checks.Tags.database)


def check_engine(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    if stores.store() is not None:
        return []
    engine = settings.SESSION_ENGINE
    why = WITHOUT_ROWS.get(engine, f"SESSION_ENGINE {engine} keeps no table that session-reaper knows")
    return [
        checks.Warning(
            f"{why}, so nobody but their browser can end them.",
            hint="Use django.contrib.sessions.backends.db or cached_db.",
            id="session_reaper.W001",
        )
    ]


def check_cache(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    store = stores.store()
    if store is None or not store.is_cached:
        return []
    backend = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("BACKEND", "")
    if not backend.endswith(IN_PROCESS):
        return []
    return [
        checks.Warning(
            f"Sessions are cached in the memory of each process ({backend}), which goes on answering for a session "
            "that has ended elsewhere.",
            hint="Use a cache that all processes share, such as Redis or Memcached, or the session engine backends.db.",
            id="session_reaper.W002",
        )
    ]


def check_schema(app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    using = stores.alias()
    if stores.store() is None or using not in (databases or ()):
        return []
    try:
        seen = schema.state(using, fresh=True)
        if seen is schema.State.READY and not schema.is_served(using):
            return [
                checks.Warning(
                    "No session-reaper daemon serves this database: a changing transaction ends the linked sessions "
                    "itself, and nothing is purged.",
                    hint="Start `manage.py session_reaper run`, or the service.",
                    id="session_reaper.W004",
                )
            ]
    except DatabaseError as error:
        return [
            checks.Warning(f"Could not ask for session-reaper: {schema.first_line(error)}", id="session_reaper.W006")
        ]
    if seen is schema.State.READY:
        return []
    number = {schema.State.OLD: "W005", schema.State.PAUSED: "W007"}.get(seen, "W003")
    text = str(seen.value)
    return [checks.Warning(text[0].upper() + text[1:], id=f"session_reaper.{number}")]
