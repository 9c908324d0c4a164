"""A process that a test has started, its log and its end."""

import os
import signal
import subprocess

from waiting import eventually


def clean_environment(**variables):
    """The environment without what would lead a child elsewhere: the caller's database, the caller's
    settings of the daemon."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "SESSION_REAPER_", "DJANGO_")) and name != "DATABASE_URL"
    }
    return inherited | variables


class Process:
    """Runs until it is stopped. Everything that it says goes to a file."""

    def __init__(self, arguments, log, **options):
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
            )

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_until(self, look, what):
        """Waits for `look` to return something true, but no longer than the process lives."""

        def look_while_it_lives():
            ended = self.child.poll()
            assert ended is None, f"{self.child.args} ended with {ended} before {what}:\n{self.said()}"
            return look()

        return eventually(look_while_it_lives, lambda: f"{self.child.args}: not yet {what}:\n{self.said()}")

    def freeze(self):
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self, with_signal=signal.SIGTERM):
        """Asks it to end, and returns how it did."""
        if self.child.poll() is None:
            self.child.send_signal(with_signal)
        try:
            eventually(
                lambda: self.child.poll() is not None,
                lambda: f"{self.child.args} did not end on {with_signal.name}:\n{self.said()}",
            )
        finally:
            if self.child.poll() is None:
                self.child.kill()
            self.child.wait()
        return self.child.returncode
