"""The daemon's own commands, on the database of this site."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from session_reaper import binary, schema, stores

# By what is typed here: what the program calls it, and what it is good for.
PLAIN = {
    "install": ("migrate", "install session-reaper in the database, or bring it up to date"),
    "run": ("run", "run the daemon, until it is stopped"),
    "status": ("status", "say how it stands"),
    "doctor": ("doctor", "look for what keeps sessions from ending"),
    "link": ("link", "read all sessions from before the installation now"),
    "purge": ("purge", "delete expired sessions now"),
    "pause": ("pause", "step back before a migration; `migrate` does it by itself"),
    "resume": ("resume", "come back after a migration"),
}
OF_A_USER = {
    "revoke": "end the sessions of a user, or with --all everybody's",
    "sessions": "list the sessions of a user",
}


class Command(BaseCommand):
    help = "Installs, runs and asks session-reaper, on the database of this site."
    # Neither is to be refused because of the other: a site that cannot be checked may have sessions to be ended.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=None, help="the alias in DATABASES; left out, that of the sessions")
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for name, (_, what) in PLAIN.items():
            commands.add_parser(name, help=what).add_argument("--json", action="store_true", help="print JSON")
        revoke = commands.add_parser("revoke", help=OF_A_USER["revoke"])
        revoke.add_argument("username", nargs="?", help="as the user types it when logging in")
        revoke.add_argument(
            "--all", action="store_true", help="everybody's sessions: the switch to throw after a breach"
        )
        revoke.add_argument("--reason", default="requested", help="goes into the record of revocations")
        revoke.add_argument("--json", action="store_true", help="print JSON")
        sessions = commands.add_parser("sessions", help=OF_A_USER["sessions"])
        sessions.add_argument("username", help="as the user types it when logging in")
        sessions.add_argument("--json", action="store_true", help="print JSON")
        uninstall = commands.add_parser("uninstall", help="take everything out of the database again")
        uninstall.add_argument("--yes", action="store_true", help="do it without asking")

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
            os.execve(program, [program, "run"], environment)  # noqa: S606
        code = os.spawnve(os.P_WAIT, program, [program, *arguments], environment)  # noqa: S606
        schema.forget()
        if code:
            sys.exit(code)

    def _arguments(self, using: str, command: str, **options: Any) -> list[str]:
        arguments = [PLAIN[command][0] if command in PLAIN else command]
        if options.get("json"):
            if command in ("install", "run"):
                raise CommandError(f"{command} prints no JSON")
            arguments.append("--json")
        if command == "uninstall" and options["yes"]:
            arguments.append("--yes")
        if command == "revoke":
            arguments += ["--reason", options["reason"]]
            if options["all"] == bool(options["username"]):
                raise CommandError("name a user, or say --all")
        if options.get("all"):
            arguments.append("--all")
        elif command in OF_A_USER:
            arguments += ["--", str(self._find(using, options["username"]).pk)]
        return arguments

    def _find(self, using: str, username: str) -> Any:
        users = get_user_model()
        try:
            return users._default_manager.db_manager(using).get_by_natural_key(username)
        except users.DoesNotExist as missing:
            raise CommandError(f"there is no user {username!r}") from missing
