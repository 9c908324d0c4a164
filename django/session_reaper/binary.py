"""The daemon's program: where it is, and how it learns of this site.

All that it needs stands in Django's settings: the database, the users' table, the session engine and its cache. It is
handed over in the environment, which only the same user can read. A command line everybody can.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections

from session_reaper import stores

NAME = "session-reaper"

# What Django calls it, and what libpq and the daemon do. The rest of OPTIONS is the driver's own.
OPTIONS = {
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslpassword": "PGSSLPASSWORD",
    "sslcrl": "PGSSLCRL",
    "require_auth": "PGREQUIREAUTH",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "passfile": "PGPASSFILE",
    "hostaddr": "PGHOSTADDR",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "options": "PGOPTIONS",
}
# The first two lead to another database, the last is ours.
NOT_FOR_THE_PROGRAM = {"DATABASE_URL", "SESSION_REAPER_DATABASE_URL", "SESSION_REAPER_BIN"}
SETTINGS = {"NAME": "PGDATABASE", "HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}


class Missing(Exception):
    """There is no such program. The text says how to get it."""


def find() -> str:
    """The one that is named, the one that pip has installed beside this package, or the system's."""
    if named := os.environ.get("SESSION_REAPER_BIN"):
        return named
    beside = Path(sysconfig.get_path("scripts")) / NAME
    found = str(beside) if beside.is_file() else shutil.which(NAME)
    if not found:
        raise Missing(
            'the program session-reaper is not here: run `pip install "django-session-reaper[daemon]"`, put it into '
            "the PATH, or name it in the variable SESSION_REAPER_BIN"
        )
    return found


def environment(using: str | None = None) -> dict[str, str]:
    """What the program is started with. Whatever is set by hand wins, but for the database.

    A settings file says itself whether there is a cache.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_PROGRAM}
    cache = {} if "SESSION_REAPER_CONFIG" in inherited else cache_variables()
    return cache | site_variables() | inherited | database_variables(stores.alias(using))


def database_variables(using: str) -> dict[str, str]:
    """Of the entry in DATABASES. What it leaves empty, libpq and the daemon take from the same variables."""
    entry = connections[using].settings_dict
    variables = {variable: str(entry[key]) for key, variable in SETTINGS.items() if entry.get(key)}
    options = entry.get("OPTIONS", {})
    return variables | {variable: str(options[key]) for key, variable in OPTIONS.items() if options.get(key)}


def site_variables() -> dict[str, str]:
    store = stores.store()
    # With a model that inherits from another one, the password stands in the table of that.
    users = get_user_model()._meta.get_field("password").model._meta
    sessions = stores.session_model()
    variables = {"SESSION_REAPER_SITE_USER_TABLE": plain(users.db_table)}
    if store:
        variables["SESSION_REAPER_SITE_PRESET"] = store.preset
    if sessions:
        variables["SESSION_REAPER_SITE_SESSION_TABLE"] = plain(sessions._meta.db_table)
    return variables


def plain(table: str) -> str:
    """Django's way to name a schema is a closing and an opening quote in the middle of the name."""
    return table.replace('"."', ".").strip('"')


def cache_variables() -> dict[str, str]:
    """The cache that answers for the sessions, where it is one that the daemon knows."""
    store = stores.store()
    if store is None or not store.is_cached:
        return {"SESSION_REAPER_CACHE_KIND": "none"} if store else {}
    entry = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {})
    variables = _kind_and_place(entry)
    if variables and variables["SESSION_REAPER_CACHE_KIND"] != "in_process":
        variables["SESSION_REAPER_CACHE_KEY_PREFIX"] = str(entry.get("KEY_PREFIX", ""))
        variables["SESSION_REAPER_CACHE_VERSION"] = str(entry.get("VERSION", 1))
    return variables


def _kind_and_place(entry: dict[str, Any]) -> dict[str, str]:
    backend = entry.get("BACKEND", "").lower()
    location = entry.get("LOCATION", "")
    places = location if isinstance(location, str) else ",".join(location)
    if "redis" in backend:
        # Django writes to the first server and reads from the others, its replicas.
        first = places.replace(";", ",").split(",")[0]
        return {"SESSION_REAPER_CACHE_KIND": "redis", "SESSION_REAPER_CACHE_SERVERS": first}
    if "memcache" in backend:
        return {"SESSION_REAPER_CACHE_KIND": "memcached", "SESSION_REAPER_CACHE_SERVERS": places.replace(";", ",")}
    if backend.endswith("databasecache"):
        return {"SESSION_REAPER_CACHE_KIND": "table", "SESSION_REAPER_CACHE_TABLE": places}
    if backend.endswith(("locmemcache", "filebasedcache")):
        return {"SESSION_REAPER_CACHE_KIND": "in_process"}
    return {}


def run(*arguments: str, using: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, and returns what it said."""
    return subprocess.run(  # noqa: S603
        [find(), *arguments],
        env=environment(using),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
