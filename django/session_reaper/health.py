"""A check for django-health-check 4: `"session_reaper.health.SessionReaper"` among the checks of its view."""

from __future__ import annotations

import dataclasses

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from session_reaper import schema, stores


@dataclasses.dataclass
class SessionReaper(HealthCheck):
    """Fails where sessions do not end; warns where they end by themselves alone, without a daemon, or are paused."""

    using: str | None = None

    async def run(self) -> None:
        await sync_to_async(self.look)()

    def look(self) -> None:
        using = stores.alias(self.using)
        try:
            seen = schema.state(using, fresh=True)
            is_served = seen is schema.State.READY and schema.is_served(using)
        except DatabaseError as error:
            raise ServiceUnavailable("the database cannot be asked") from error
        if seen is schema.State.PAUSED:
            raise ServiceWarning(str(seen.value))
        if seen is not schema.State.READY:
            raise ServiceUnavailable(str(seen.value))
        if not is_served:
            raise ServiceWarning("no session-reaper daemon serves this database")
