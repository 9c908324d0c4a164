"""A daemon for the time of Django's tests."""

import subprocess
import time

from session_reaper import binary, schema


class Daemon:
    def __init__(self, alias, directory):
        self.log = directory / "daemon.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [binary.find(), "run"], env=binary.environment(alias), stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 60
        while not schema.is_served(alias):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
