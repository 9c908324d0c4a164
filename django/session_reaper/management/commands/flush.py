"""Django's `flush`, which PostgreSQL would refuse: it truncates no table that another one refers to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import flush
from django.db import connections

from session_reaper import schema

LINKS = '"session_reaper"."user_session"'


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        with truncating_links(options["database"]):
            super().handle(**options)


@contextmanager
def truncating_links(using: str) -> Iterator[None]:
    """Has the links truncated together with the tables that they refer to, and nothing that Django does not know."""
    connection = connections[using]
    if schema.state(using, fresh=True) in (schema.State.OTHER_VENDOR, schema.State.MISSING, schema.State.PAUSED):
        yield
        return
    original = connection.ops.sql_flush

    def sql_flush(style: Any, tables: list[str], **options: Any) -> list[str]:
        return original(style, [*tables, LINKS] if tables else [], **options)

    connection.ops.sql_flush = sql_flush  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        del connection.ops.sql_flush
