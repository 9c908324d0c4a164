"""What `manage.py session_reaper` passes on to the daemon's own program.

All that the program can do, but for what makes no sense here: a demo on a server of its own, and the ways to name a
database and settings, which are Django's.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from django.core.management.base import CommandParser


class Whom(enum.Enum):
    """Whether a command is about a user, who is named as he types it when logging in."""

    NOBODY = "no user is named"
    SOMEBODY = "a user has to be named"
    ANYBODY = "a user may be named"


@dataclasses.dataclass(frozen=True)
class Option:
    flag: str
    what: str
    # What its value is called; none for a switch.
    takes: str | None = None

    @property
    def name(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")

    def add_to(self, parser: CommandParser) -> None:
        if self.takes:
            parser.add_argument(self.flag, metavar=self.takes, help=self.what)
        else:
            parser.add_argument(self.flag, action="store_true", help=self.what)

    def passed_on(self, options: dict[str, Any]) -> list[str]:
        given = options.get(self.name)
        if given is True:
            return [self.flag]
        # In one word: a value may begin with a dash.
        return [f"{self.flag}={given}"] if given else []


@dataclasses.dataclass(frozen=True)
class Offer:
    what: str
    options: tuple[Option, ...] = ()
    whom: Whom = Whom.NOBODY
    # What the program calls it, if not the same.
    verb: str | None = None


JSON = Option("--json", "print JSON")

OFFERS = {
    "install": Offer(
        "install session-reaper in the database, or bring it up to date",
        (
            Option(
                "--create-role", "first create this role for the daemon, with the right to log in and no other", "NAME"
            ),
            Option("--print", "only print the SQL that would be run"),
        ),
        verb="migrate",
    ),
    "run": Offer("run the daemon, until it is stopped", (Option("--check", "only check the settings"),)),
    "config": Offer(
        "print the settings that are in force, and where each came from",
        (Option("--check", "only check this file of settings", "FILE"), JSON),
    ),
    "status": Offer(
        "say how it stands",
        (
            Option("--metrics", "print the figures as Prometheus reads them"),
            Option("--watch", "show it again and again until Ctrl-C"),
            Option("--interval", "with --watch: how long to wait between two looks", "SECONDS"),
            JSON,
        ),
    ),
    "doctor": Offer(
        "look for what keeps sessions from ending",
        (Option("--strict", "fail for what is only worth knowing, too"), JSON),
    ),
    "link": Offer(
        "read all sessions from before the installation now",
        (Option("--again", "read all sessions once more, although all have been read"), JSON),
    ),
    "purge": Offer(
        "delete expired sessions now", (Option("--dry-run", "count what would be deleted, and delete nothing"), JSON)
    ),
    "policies": Offer(
        "enforce now how many sessions a user may have, and for how long",
        (Option("--dry-run", "only say who would be logged out, and why"), JSON),
    ),
    "revoke": Offer(
        "end the sessions of a user, or with --all everybody's",
        (
            Option("--all", "everybody's sessions: the switch to throw after a breach"),
            Option("--rehearse", "with --all: end nothing, and say how many sessions would, and how long that takes"),
            Option("--per-second", "with --all: end at most so many sessions a second", "COUNT"),
            Option("--reason", "goes into the record of revocations", "REASON"),
            Option("--wait-s", "how long to wait for transactions that were open at the time", "SECONDS"),
            JSON,
        ),
        Whom.ANYBODY,
    ),
    "sessions": Offer("list the sessions of a user", (JSON,), Whom.SOMEBODY),
    "explain": Offer(
        "say which rule keeps each session of a user or will end it, and what each revocation did",
        (Option("--most", "at most so many revocations", "COUNT"), JSON),
        Whom.SOMEBODY,
    ),
    "history": Offer(
        "list revocations: who asked, what ended, how long it took",
        (
            Option("--since", "those of at most this age: 90s, 15m, 12h, 7d", "AGE"),
            Option("--most", "at most so many", "COUNT"),
            JSON,
        ),
        Whom.ANYBODY,
    ),
    "pause": Offer("step back before a migration; `migrate` does it by itself", (JSON,)),
    "resume": Offer("come back after a migration", (JSON,)),
    "uninstall": Offer(
        "take everything out of the database again",
        (Option("--dry-run", "only say what would be taken out"), Option("--yes", "do it without asking")),
    ),
}
