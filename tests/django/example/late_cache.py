"""Sessions that are cached as late as a test wants, by a request that has read their row, or written it."""

import os
import pathlib
import time

from django.contrib.sessions.backends import cached_db


class LateCache:
    def __init__(self, cache):
        self.cache = cache
        self.gate = pathlib.Path(os.environ["CACHE_GATE"])

    def __getattr__(self, name):
        return getattr(self.cache, name)

    def set(self, *entry):
        """Waits for the gate to open. No transaction is running meanwhile."""
        print("about to fill the cache", flush=True)
        while not self.gate.exists():
            time.sleep(0.02)
        self.cache.set(*entry)


class SessionStore(cached_db.SessionStore):
    def __init__(self, session_key=None):
        super().__init__(session_key)
        self._cache = LateCache(self._cache)
