"""The daemon's own commands, on the database of this site."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from session_reaper import binary, schema, stores
from session_reaper.offered import OFFERS, Whom


class Command(BaseCommand):
    help = "Installs, runs and asks session-reaper, on the database of this site."
    # Neither is to be refused because of the other: a site that cannot be checked may have sessions to be ended.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=None, help="the alias in DATABASES; left out, that of the sessions")
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for name, offer in OFFERS.items():
            command = commands.add_parser(name, help=offer.what, description=offer.what)
            if offer.whom is not Whom.NOBODY:
                number = "?" if offer.whom is Whom.ANYBODY else None
                command.add_argument("username", nargs=number, help="as the user types it when logging in")
            for option in offer.options:
                option.add_to(command)

    def handle(self, *args: Any, **options: Any) -> None:
        using = stores.alias(options["database"])
        arguments = self._arguments(using, **options)
        try:
            program, environment = binary.find(), binary.environment(using)
        except binary.Missing as missing:
            raise CommandError(str(missing)) from missing
        self.stdout.flush()
        if arguments[0] == "run":
            # Takes this process's place, so that signals reach it and nothing of Django stays in memory.
            os.execve(program, [program, *arguments], environment)  # noqa: S606
        code = os.spawnve(os.P_WAIT, program, [program, *arguments], environment)  # noqa: S606
        schema.forget()
        if code:
            sys.exit(code)

    def _arguments(self, using: str, command: str, **options: Any) -> list[str]:
        offer, username = OFFERS[command], options.get("username")
        if command == "revoke" and options["all"] == bool(username):
            raise CommandError("name a user, or say --all")
        arguments = [offer.verb or command]
        for option in offer.options:
            arguments += option.passed_on(options)
        if username:
            arguments += ["--", str(self._find(using, username).pk)]
        return arguments

    def _find(self, using: str, username: str) -> Any:
        users = get_user_model()
        try:
            return users._default_manager.db_manager(using).get_by_natural_key(username)
        except users.DoesNotExist as missing:
            raise CommandError(f"there is no user {username!r}") from missing
