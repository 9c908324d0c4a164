"""Hearing of sessions that have ended.

PostgreSQL tells whoever listens at the time, and nobody else: after a connection was lost, everything may have been
missed, and everybody has to look.
"""

from __future__ import annotations

import json
import logging
import select
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db import DatabaseError, connections

from session_reaper import schema

logger = logging.getLogger(__name__)

CHANNEL = "session_revoked"
HEARTBEAT_S = 30.0


class Told(NamedTuple):
    """What a revocation says. Never a key."""

    user_id: str | None
    scope: str
    reason: str
    state: str
    revocation: int | None

    @classmethod
    def parse(cls, payload: str) -> Told | None:
        """None for what is none of session-reaper's: any role that can connect can notify."""
        try:
            told = json.loads(payload)
            user = told["user"]
            return cls(
                None if user is None else str(user),
                str(told["scope"]),
                str(told["reason"]),
                str(told["state"]),
                int(told["revocation"]),
            )
        except (ValueError, TypeError, KeyError):
            return None


# What is said when it is not known what was missed.
EVERYBODY = Told(user_id=None, scope="all", reason="", state="revoked", revocation=None)


class ConnectionLost(Exception):
    """To be tried again."""


def listen(using: str, on_ready: Callable[[], None], heartbeat_s: float = HEARTBEAT_S) -> Iterator[Told]:
    """Yields what is told over one connection, until that is lost; begins with `EVERYBODY`.

    Not through a pooler in transaction mode, which would deliver to somebody else.
    """
    connection = connections[using]
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"listen {CHANNEL}")
            on_ready()
            # Nobody listened until now.
            yield EVERYBODY
            while True:
                for payload in _wait(connection.connection, heartbeat_s):
                    if told := Told.parse(payload):
                        yield told
                # A connection that is dead says nothing, either.
                cursor.execute("select 1")
    except (DatabaseError, connection.Database.Error, OSError) as error:  # type: ignore[attr-defined]
        raise ConnectionLost(schema.first_line(error)) from error
    finally:
        connection.close()


def _wait(connection: Any, seconds: float) -> Iterator[str]:
    """The payloads that arrive within this time, by either driver."""
    if hasattr(connection, "notifies") and callable(connection.notifies):
        yield from (notification.payload for notification in connection.notifies(timeout=seconds))
        return
    # psycopg2
    select.select([connection], [], [], seconds)
    connection.poll()
    while connection.notifies:
        yield connection.notifies.pop(0).payload
