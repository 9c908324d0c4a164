"""A user's open sessions, for pages: without keys."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import DatabaseError, models, transaction

from session_reaper import schema, stores
from session_reaper.handles import handle_of
from session_reaper.models import OpenSession


def sessions_of(user: models.Model, *, current: Any = None, using: str | None = None) -> dict[str, Any]:
    """`open_sessions`, the youngest first, with `is_current` and `device`; or `unavailable` with the reason."""
    using = stores.alias(using)
    try:
        schema.require(using)
        # In a savepoint: a view that has just gone must not take the request's transaction along.
        with transaction.atomic(using=using):
            rows = list(OpenSession.objects.using(using).filter(user_id=user.pk).order_by("-opened_at", "handle"))
    except (schema.Unavailable, DatabaseError) as error:
        schema.forget()
        return {"open_sessions": [], "unavailable": schema.first_line(error)}
    here = handle_of(stores.key_of(current))
    devices = _devices(user, using)
    for row in rows:
        row.is_current = row.handle == here  # type: ignore[attr-defined]
        row.device = devices.get(row.handle)  # type: ignore[attr-defined]
    rows.sort(key=lambda row: not row.is_current)  # type: ignore[attr-defined]
    return {"open_sessions": rows, "unavailable": ""}


def _devices(user: models.Model, using: str) -> dict[str, Any]:
    """By the handle of the session, where the site keeps them."""
    if not apps.is_installed("session_reaper.devices"):
        return {}
    from session_reaper.devices.models import Device

    return {str(handle_of(device.session_id)): device for device in Device.of(user, using)}
