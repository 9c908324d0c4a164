"""Django's `dumpdata`, without what session-reaper knows: session keys do not belong into a dump."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    def handle(self, *app_labels: str, **options: Any) -> None:
        options["exclude"] = [*options["exclude"], "session_reaper"]
        super().handle(*app_labels, **options)
