"""Waiting for something to become true, never for time to pass."""

import time

DEADLINE_S = 240


def eventually(look, message):
    """Calls `look` until it returns something true, and returns that; fails with the message (or what a
    callable one returns) at a deadline that only a broken program reaches."""
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(message() if callable(message) else message)
        time.sleep(0.02)
    return seen
