"""Hears of sessions that have ended, and tells this site: the signal `session_revoked`, and Channels if it is there."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from session_reaper import schema, stores
from session_reaper.listening import ConnectionLost, Told, listen
from session_reaper.signals import session_revoked

LONGEST_REST_S = 30.0


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=None, help="the alias in DATABASES; left out, that of the sessions")

    def handle(self, *args: Any, **options: Any) -> None:
        using = stores.alias(options["database"])
        if connections[using].vendor != "postgresql":
            raise CommandError(str(schema.State.OTHER_VENDOR.value))
        self.rest_s = 1.0
        while True:
            try:
                for told in listen(using, self._ready):
                    self._tell(told)
            except ConnectionLost as lost:
                self.stderr.write(f"Not listening: {lost}. Trying again in {self.rest_s:.0f} s.")
            except KeyboardInterrupt:
                return
            time.sleep(self.rest_s)
            self.rest_s = min(self.rest_s * 2, LONGEST_REST_S)

    def _ready(self) -> None:
        self.rest_s = 1.0
        self.stdout.write("Listening.")
        self.stdout.flush()

    def _tell(self, told: Told) -> None:
        """A receiver that fails must not keep the others, or the next revocation, from being heard."""
        arguments = told._asdict()
        for receiver, answer in session_revoked.send_robust(sender=type(self), **arguments):
            if isinstance(answer, Exception):
                name = getattr(receiver, "__qualname__", repr(receiver))
                self.stderr.write(f"{name} failed: {type(answer).__name__}: {answer}")
