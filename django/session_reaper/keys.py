"""Session keys in statements: where neither the server's log nor a report of Django's on an error can show them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.db import connections, models, transaction
from django.views.decorators.debug import sensitive_variables

# What a statement writes instead of the key.
KEY = "current_setting('session_reaper.key')"

# What holds a key, in functions of ours and in those of Django's that they call. Django's reports on errors leave these
# variables out where a function is decorated with them.
NAMES = ("session_key", "key", "keep", "session", "params", "parameters")


class holding:
    """A cursor whose statements find the key in the setting `KEY`.

    The server logs a statement that fails or is slow, with its text and its parameters. So the one that can be does not
    hold the key, and the one that holds it cannot fail. Within a transaction this is a savepoint.
    """

    def __init__(self, using: str, key: str) -> None:
        self._using = using
        self._key = key

    # No generator: Django finds no decoration of one.
    @sensitive_variables(*NAMES)
    def __enter__(self) -> Any:
        with ExitStack() as entered:
            entered.enter_context(transaction.atomic(using=self._using))
            cursor = entered.enter_context(connections[self._using].cursor())
            cursor.execute("select set_config('session_reaper.key', %s, true)", [self._key])
            self._entered = entered.pop_all()
        return cursor

    def __exit__(self, *raised: Any) -> bool | None:
        return self._entered.__exit__(*raised)


def table_and_column(sessions: type[models.Model], using: str) -> tuple[str, str]:
    """Where the keys of these sessions stand, as SQL names it."""
    quote = connections[using].ops.quote_name
    return quote(sessions._meta.db_table), quote(str(sessions._meta.pk.column))
