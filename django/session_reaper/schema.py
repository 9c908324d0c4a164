"""What the database has of session-reaper.

Every feature asks here first. A statement that fails would end the transaction that it stands in and fill the
server's log, and a site has to work on where nothing is installed: in the databases of a test run, on SQLite.
"""

from __future__ import annotations

import enum
import time

from django.db import connections
from django.utils.translation import gettext_lazy as _


class State(enum.Enum):
    """From nothing to everything. The text says what to do."""

    OTHER_VENDOR = _("session-reaper works on PostgreSQL only, and this database is another one.")
    MISSING = _("session-reaper is not installed in this database: run `manage.py session_reaper install`.")
    NO_RIGHTS = _(
        "this database role may not use session-reaper: name it in site.app_roles of its settings "
        "(SESSION_REAPER_SITE_APP_ROLES) and run `manage.py session_reaper install` as the tables' owner."
    )
    OLD = _("the session-reaper in this database is older than this package: run `manage.py session_reaper install`.")
    PAUSED = _("session-reaper is paused for a migration: run `manage.py session_reaper resume` after it.")
    READY = _("session-reaper is installed.")


class Unavailable(Exception):
    """session-reaper cannot do what was asked for, and nothing has been done. The text says why, and what helps."""

    def __init__(self, state: State) -> None:
        super().__init__(str(state.value))
        self.state = state


# Looks at the catalog alone, so it cannot fail for want of a right or of a table.
LOOK = """
select n.oid is not null,
    coalesce(pg_catalog.has_schema_privilege(n.oid, 'usage'), false)
        and coalesce((
            select pg_catalog.bool_or(pg_catalog.has_function_privilege(p.oid, 'execute'))
            from pg_catalog.pg_proc p where p.pronamespace = n.oid and p.proname = 'link_session'), false),
    exists (
        select from pg_catalog.pg_class c
        where c.relnamespace = n.oid and c.relname = 'revocation_trail'
            and pg_catalog.has_table_privilege(c.oid, 'select')),
    exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'live_session')
from (select pg_catalog.to_regnamespace('session_reaper')::oid) n (oid)
"""

# A site that is installed, paused or migrated is noticed within this time; a login pays for one look in it.
REMEMBERED_S = 10.0

_seen: dict[tuple[str, str, str, str], tuple[State, float]] = {}


def state(using: str, *, fresh: bool = False) -> State:
    """What there is, as of the last seconds unless it has to be `fresh`."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return State.OTHER_VENDOR
    place = connection.settings_dict
    # A test run changes the name under the same alias.
    database = (using, str(place["NAME"]), str(place["HOST"]), str(place["PORT"]))
    seen, at = _seen.get(database, (State.MISSING, float("-inf")))
    if fresh or time.monotonic() - at > REMEMBERED_S:
        seen = _look(using)
        _seen[database] = (seen, time.monotonic())
    return seen


def _look(using: str) -> State:
    with connections[using].cursor() as cursor:
        cursor.execute(LOOK)
        exists, may_use, has_trail, has_live_sessions = cursor.fetchone()
    if not exists:
        return State.MISSING
    if not may_use:
        return State.NO_RIGHTS
    if not has_trail:
        return State.OLD
    return State.READY if has_live_sessions else State.PAUSED


def require(using: str, *, in_a_pause: bool = False) -> None:
    """Raises Unavailable unless it is there. What only asks for sessions to end works in a pause, too."""
    seen = state(using)
    if seen is State.READY or (seen is State.PAUSED and in_a_pause):
        return
    raise Unavailable(seen)


def forget() -> None:
    """Has everybody look again."""
    _seen.clear()


def first_line(error: Exception) -> str:
    """What may be shown and logged of an error: the lines that follow may quote a row, and with it a key."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def is_served(using: str) -> bool:
    """Whether a daemon is there."""
    with connections[using].cursor() as cursor:
        cursor.execute("select session_reaper.is_served()")
        return bool(cursor.fetchone()[0])
