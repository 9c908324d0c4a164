"""Stepping aside for the site's own migrations.

PostgreSQL refuses to change the type of a column that a trigger or a view names, and to drop a table that a foreign key
refers to. So `migrate` pauses session-reaper where a migration touches the users' or the sessions' table, and nowhere
else, and resumes afterwards, also after a migration that failed.
"""

from __future__ import annotations

import atexit
import functools
import re
from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import ModelOperation

from session_reaper import binary, schema, stores

# By database: what is still to be called when the process ends before `migrate` has come to its end.
_paused: dict[str, Any] = {}


def pause(sender: AppConfig, using: str, plan: list[tuple[Any, bool]], **kwargs: Any) -> None:
    if using != stores.alias() or not any(touches_our_tables(migration) for migration, _ in plan):
        return
    if schema.state(using, fresh=True) in (schema.State.OTHER_VENDOR, schema.State.MISSING, schema.State.PAUSED):
        return
    if _run("pause", using, **kwargs):
        _paused[using] = functools.partial(_finish, using)
        atexit.register(_paused[using])


def resume(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """A pause that somebody else began goes on."""
    if finish := _paused.pop(using, None):
        atexit.unregister(finish)
        _finish(using, **kwargs)


def _finish(using: str, **kwargs: Any) -> None:
    _run("resume", using, **kwargs)
    schema.forget()


def _run(command: str, using: str, verbosity: int = 1, stdout: Any = None, **kwargs: Any) -> bool:
    """Says what it did, or what to do by hand; a migration goes on in any case, and PostgreSQL refuses what it must."""
    try:
        done = binary.run(command, using=using)
    except binary.Missing as missing:
        said, is_done = f"  session-reaper could not {command}: {missing}.", False
    else:
        said, is_done = f"  {(done.stdout + done.stderr).strip()}", done.returncode == 0
    if verbosity >= 1 or not is_done:
        print(said, file=stdout)
    schema.forget()
    return is_done


def touches_our_tables(migration: migrations.Migration) -> bool:
    return any(_touches(operation, migration.app_label) for operation in migration.operations)


def _touches(operation: Operation, app_label: str) -> bool:
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return any(_touches(inner, app_label) for inner in operation.database_operations)
    if isinstance(operation, migrations.RunSQL):
        text = f"{operation.sql} {operation.reverse_sql}"
        return any(re.search(rf"\b{re.escape(model._meta.db_table)}\b", text) for model in _watched())
    # Rows may be changed at any time.
    if isinstance(operation, migrations.RunPython):
        return False
    name = _model_name(operation)
    return any((app_label, name) == (model._meta.app_label, model._meta.model_name) for model in _watched())


def _model_name(operation: Operation) -> str | None:
    if isinstance(operation, ModelOperation):
        return operation.name_lower
    name = getattr(operation, "model_name", None)
    return name.lower() if isinstance(name, str) else None


def _watched() -> Iterator[type[models.Model]]:
    yield get_user_model()
    if sessions := stores.session_model():
        yield sessions
